"""OpenCV, imported where it is first used."""

from types import ModuleType


def opencv() -> ModuleType:
    """The module cv2; ImportError names the package that needs no display when it cannot load."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f"OpenCV does not load ({error}); on a machine without libGL use "
            "`pip uninstall opencv-python` and `pip install opencv-python-headless`"
        ) from error
    return cv2
