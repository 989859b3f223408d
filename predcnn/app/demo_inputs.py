"""What the page predicts from: test sequences, uploaded clips, drawn digits set in motion."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from omegaconf import OmegaConf
from torch import Tensor

from predcnn.app.forecast import plan_of
from predcnn.app.recordings import FrameShape, open_recordings
from predcnn.app.saved_run import SavedRun, data_of
from predcnn.data import MovingMNISTOptions, create_datamodule, to_float
from predcnn.data.generated.options import SPRITE
from predcnn.data.generated.pools import Pool
from predcnn.data.generated.sequences import GeneratedSequences
from predcnn.data.opencv import opencv
from predcnn.predictors.create import create_predictor
from predcnn.predictors.protocol import Predictor

EXAMPLE, DRAWING, CLIP = "a test sequence", "my drawing", "my clip"
SOURCES = (EXAMPLE, DRAWING, CLIP)
INK = 20  # pixels: MNIST's digits lie in 20x20 of their 28x28


def material(
    load: Callable[[], SavedRun] | None,
    source: str,
    number: int,
    clip: str | None,
    drawing: Mapping | None,
    horizon: int,
) -> tuple[Tensor, Tensor | None, Predictor]:
    """Past and, where it is known, truth, each (T, C, H, W) in [0, 1]; and who predicts.

    Args:
        load: gives the chosen checkpoint; None: repeat the last frame.
        source: one of `SOURCES`.
        number: of the test sequence, or what decides where a drawn digit goes.
        clip: path of the uploaded file.
        drawing: see `drawn_digit`.
        horizon: frames to predict.

    Raises:
        ValueError: nothing uploaded or drawn, no such sequence, a clip that cannot be used.
    """
    run = None if load is None else load()
    net = run.predictor if run else create_predictor("copy_last", in_shape=(10, 1, 64, 64)).eval()
    frames_in = net.in_shape[0]
    if source == CLIP:
        return *_uploaded(clip, net, horizon), net
    if source == DRAWING:
        frames = moving_digits(drawn_digit(drawing), net.in_shape, horizon, seed=number)
    else:
        frames = _test_sequence(run, number, horizon)
    return frames[:frames_in], frames[frames_in:], net


def _test_sequence(run: SavedRun | None, number: int, horizon: int) -> Tensor:
    if run is None:
        data = create_datamodule("moving_mnist", source="embedded", frames_out=horizon)
    else:
        data = data_of(run, OmegaConf.create({"frames_out": horizon}))
    split = data.split("test")
    if not 0 <= number < len(split):
        raise ValueError(f"there is no test sequence {number}, only 0..{len(split) - 1}")
    return to_float(split.batch(0, [number]))[0]


def _uploaded(clip: str | None, net: Predictor, horizon: int) -> tuple[Tensor, Tensor | None]:
    """The end of a clip: its last frames are the truth if it is long enough."""
    if clip is None:
        raise ValueError("upload a clip first")
    (recording, *_), _ = open_recordings([clip], None)
    shape = FrameShape.of("model", "crop", net.in_shape)
    plan = plan_of(recording, net, horizon, None, 1)
    if plan.truth is None:
        return recording.frames(plan.past, shape), None
    return recording.frames(plan.trial_past, shape), recording.frames(plan.truth, shape)


def drawn_digit(drawing: Mapping | None) -> np.ndarray:
    """What was drawn, (28, 28) uint8, white on black, centred like MNIST's digits.

    Args:
        drawing: ``layers`` of a Gradio sketch, RGBA uint8 (H, W, 4): their alpha is the ink.

    Raises:
        ValueError: nothing was drawn.
    """
    layers = [np.asarray(layer) for layer in (drawing or {}).get("layers", [])]
    inks = [layer[..., 3] for layer in layers if layer.ndim == 3 and layer.shape[2] == 4]
    if not inks or not max(ink.max() for ink in inks):
        raise ValueError("draw a digit first")
    ink = np.maximum.reduce(inks)
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    factor = INK / max(ink.shape)
    height, width = (max(1, round(n * factor)) for n in ink.shape)
    cv2 = opencv()
    small = cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)
    digit = np.zeros((SPRITE, SPRITE), np.uint8)
    top, left = (SPRITE - height) // 2, (SPRITE - width) // 2
    digit[top : top + height, left : left + width] = small
    return digit


def moving_digits(digit: np.ndarray, in_shape: Sequence[int], horizon: int, seed: int) -> Tensor:
    """The digit bouncing over black, float32 (T + horizon, C, H, W) in [0, 1]."""
    frames_in, channels, height, width = in_shape
    options = MovingMNISTOptions(
        frames_in=frames_in,
        frames_out=horizon,
        digits=1,
        height=height,
        width=width,
        eval_seed=seed,
    )
    data = GeneratedSequences(options, "test", 1, Pool(digit[None], "drawn"), source="drawn")
    return to_float(data.batch(0, [0]))[0].expand(-1, channels, -1, -1)
