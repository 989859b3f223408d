"""A web page to try checkpoints on a test sequence, an uploaded clip or a drawn digit."""

import base64
import dataclasses
import functools
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import Tensor

from predcnn.app.console import say
from predcnn.app.saved_run import SavedRun, data_of, load_run
from predcnn.app.upload_limits import ENDINGS, LIMITS, MOST_BYTES, check_upload, time_limit
from predcnn.checks import needed
from predcnn.data import create_datamodule, to_float
from predcnn.forecasting import Forecast, forecast, forecast_clips
from predcnn.forecasting.drawn_digits import drawn_digit, moving_digits
from predcnn.forecasting.result import describe_errors
from predcnn.predictors.checkpoint import weights_file
from predcnn.predictors.create import create_predictor
from predcnn.visual import plot_curves
from predcnn.weights.pretrained import list_pretrained

if TYPE_CHECKING:
    import gradio

FIRST = "pretrained/simvp_moganet_moving_mnist"  # the page starts with it, as predict does
COPY_LAST = "copy last (the baseline)"
EXAMPLE, DRAWING, CLIP = SOURCES = "a test sequence", "my drawing", "my clip"
IMAGE = '<img alt="{alt}" src="data:image/{kind};base64,{data}" style="width:100%">'
MOST_WAITING = 100  # requests; further ones are refused
MOST_INK = 4_000_000  # pixels of a drawing; Pillow refuses twice as many


def demo(cfg: DictConfig) -> None:
    """Serve the page until it is interrupted."""
    with tempfile.TemporaryDirectory(prefix="predcnn_demo_") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads  # the only folder that Gradio serves files from
        page = build_page(cfg)
        say(f"http://{cfg.address}:{cfg.port}  (Ctrl-C ends it)")
        serve(page, server_name=cfg.address, server_port=cfg.port)


def serve(page: "gradio.Blocks", **options: object) -> str:
    """Launch the page with its limits and ``options`` of Gradio's ``launch``; return its URL."""
    Image.MAX_IMAGE_PIXELS = MOST_INK
    page.queue(max_size=MOST_WAITING)
    return page.launch(max_file_size=MOST_BYTES, share=False, quiet=True, **options)[1]


def build_page(cfg: DictConfig) -> "gradio.Blocks":
    """Build the page without serving it."""
    gr = needed("gradio", "demo")
    checkpoints = [*_checkpoints(cfg), COPY_LAST]
    load = functools.lru_cache(maxsize=4)(load_run)

    def answer(name: str, *given: object) -> Sequence[str]:
        try:
            run = None if name == COPY_LAST else load(name, cfg.trusted)
            return show(predicted(run, *given, device=cfg.device), name)
        except (ValueError, OSError, TypeError) as error:
            raise gr.Error(str(error)) from error

    hour = 3600  # after which an upload is removed
    with gr.Blocks(title="predcnn", analytics_enabled=False, delete_cache=(hour, hour)) as page:
        gr.Markdown("# predcnn\nPast frames in, future frames out, and how far to trust them.")
        with gr.Row():
            with gr.Column(scale=1):
                given = [
                    gr.Dropdown(checkpoints, label="checkpoint"),
                    gr.Radio(list(SOURCES), value=EXAMPLE, label="predict", elem_id="source"),
                    gr.Number(0, precision=0, minimum=0, label="test sequence"),
                    gr.File(
                        label=f"a video, GIF or array: {LIMITS}",
                        type="filepath",
                        file_types=ENDINGS,
                        elem_id="clip",
                    ),
                    gr.Sketchpad(label="a digit, to bounce around", elem_id="drawing"),
                    gr.Slider(1, 40, 10, step=1, label="frames to predict"),
                ]
                button = gr.Button("Predict", variant="primary", elem_id="predict")
            with gr.Column(scale=2):
                shown = [gr.HTML(elem_id="animation"), gr.Markdown(), gr.HTML(elem_id="curve")]
        button.click(answer, given, shown)
        page.load(answer, given, shown)
    return page


def _checkpoints(cfg: DictConfig) -> list[str]:
    if cfg.ckpt_path is None:
        own = sorted(Path(cfg.runs).glob("**/checkpoints/best.ckpt"))
        paths = [*sorted(list_pretrained(), key=lambda name: name != FIRST), *map(str, own)]
    else:
        paths = [cfg.ckpt_path] if isinstance(cfg.ckpt_path, str) else list(cfg.ckpt_path)
    for path in paths:
        weights_file(path)  # a missing one shows now
    return paths


def predicted(
    run: SavedRun | None,
    source: str,
    number: int,
    clip: str | None,
    drawing: Mapping | None,
    horizon: int,
    *,
    device: str = "cpu",
) -> Forecast:
    """Predict a test sequence, an uploaded clip or a drawn digit, as ``source`` says.

    Without a ``run`` the last frame is repeated. ``number`` is the index of the test sequence, or
    the seed of a drawn digit's motion.
    """
    net = run.predictor if run else create_predictor("copy_last", in_shape=(10, 1, 64, 64)).eval()
    net.to(device)
    if run and run.settings["data"].get("targets"):
        raise ValueError("data.targets is set for this checkpoint: use predcnn predict")
    if source == CLIP:
        if clip is None:
            raise ValueError("upload a clip first")
        check_upload(Path(clip))
        progress = time_limit()
        found = forecast_clips(net, [clip], horizon=horizon, size="model", progress=progress)[0]
        return found.trial or found
    if source == DRAWING:
        frames = moving_digits(drawn_digit(drawing), net.in_shape, horizon, seed=number)
    else:
        frames = _test_sequence(run, number, horizon)
    return forecast(net, frames, horizon=horizon, start=net.in_shape[0])


def _test_sequence(run: SavedRun | None, number: int, horizon: int) -> Tensor:
    if run is None:
        data = create_datamodule("moving_mnist", source="embedded", frames_out=horizon)
    else:
        data = data_of(run, OmegaConf.create({"frames_out": horizon}))
    split = data.split("test")
    if not 0 <= number < len(split):
        raise ValueError(f"there is no test sequence {number}, only 0..{len(split) - 1}")
    return to_float(split.batch(0, [number]))[0]


def show(found: Forecast, name: str) -> Sequence[str]:
    """Return an animation, one sentence and error curves as HTML, Markdown, HTML."""
    place = Path(name).parent
    label = place.parent.name if place.name == "checkpoints" else name
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "comparison.gif")
        dataclasses.replace(found, name=label).save(path, view="comparison", fps=5)
        animation = _embedded(path, "input, truth, prediction and error")
        if found.truth is None:
            return animation, "What comes next is not known: no error.", ""
        lines = {label: found.metrics["prediction"], "copy last": found.metrics["copy_last"]}
        curve = Path(folder, "curve.png")
        plot_curves(curve, {}, {key: value["per_frame"] for key, value in lines.items()})
        verdict = f"**{label}: {found.verdict}.** {describe_errors(found.metrics, digits=3)}"
        return animation, verdict, _embedded(curve, "error curve")


def _embedded(path: Path, alt: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return IMAGE.format(alt=alt, kind=path.suffix.removeprefix("."), data=data)
