"""OpenCV, imported on first use."""

from types import ModuleType


def opencv() -> ModuleType:
    """Return the module cv2; if it does not load, the error suggests opencv-python-headless."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f"OpenCV does not load ({error}); on a machine without libGL use "
            "`pip uninstall opencv-python` and `pip install opencv-python-headless`"
        ) from error
    return cv2
