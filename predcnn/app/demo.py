"""A page to try checkpoints on: choose, upload or draw, see truth, prediction and error curve."""

import base64
import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from torch import Tensor

from predcnn.app.console import say
from predcnn.app.demo_inputs import EXAMPLE, SOURCES, material
from predcnn.app.forecast import errors_of
from predcnn.app.saved_run import SavedRun, load_run
from predcnn.predictors.protocol import Predictor
from predcnn.visual import comparison_frames, plot_curves, write_gif

if TYPE_CHECKING:
    import gradio

COPY_LAST = "copy last (the zero line)"
FILM = '<img alt="{alt}" src="data:image/{kind};base64,{data}" style="width:100%">'


def demo(cfg: DictConfig) -> None:
    """Serve the page until it is interrupted."""
    page = build_page(cfg)
    say(f"http://{cfg.address}:{cfg.port}  (Ctrl-C ends it)")
    page.launch(server_name=cfg.address, server_port=cfg.port, quiet=True)


def build_page(cfg: DictConfig) -> "gradio.Blocks":
    """The page, not yet served.

    Raises:
        ImportError: Gradio is missing; names the extra. FileNotFoundError: no such checkpoint.
    """
    try:
        import gradio as gr
    except ImportError as error:
        raise ImportError(f"no Gradio: pip install 'predcnn[demo]' ({error})") from error
    checkpoints = _checkpoints(cfg)

    def answer(name: str, *given: object) -> Sequence[str]:
        try:
            past, truth, net = material(checkpoints[name], *given)
            return show(net.to(cfg.device), past, truth, int(given[-1]), name)
        except (ValueError, OSError, TypeError) as error:
            raise gr.Error(str(error)) from error

    with gr.Blocks(title="predcnn", analytics_enabled=False) as page:
        gr.Markdown("# predcnn\nPast frames in, future frames out, and how far to trust them.")
        with gr.Row():
            with gr.Column(scale=1):
                given = [
                    gr.Dropdown(list(checkpoints), label="checkpoint"),
                    gr.Radio(list(SOURCES), value=EXAMPLE, label="predict", elem_id="source"),
                    gr.Number(0, precision=0, minimum=0, label="test sequence"),
                    gr.File(label="a video, GIF or array", type="filepath", elem_id="clip"),
                    gr.Sketchpad(label="a digit, to bounce around", elem_id="drawing"),
                    gr.Slider(1, 40, 10, step=1, label="frames to predict"),
                ]
                button = gr.Button("Predict", variant="primary", elem_id="predict")
            with gr.Column(scale=2):
                shown = [gr.HTML(elem_id="film"), gr.Markdown(), gr.HTML(elem_id="curve")]
        button.click(answer, given, shown)
    return page


def _checkpoints(cfg: DictConfig) -> dict[str, "functools.partial[SavedRun] | None"]:
    """What the page calls a checkpoint -> what loads it, copy-last (None) at the end."""
    if cfg.ckpt_path is None:
        paths = sorted(Path(cfg.runs).glob("**/checkpoints/best.ckpt"))
    else:
        given = cfg.ckpt_path
        paths = [Path(p) for p in ([given] if isinstance(given, str) else list(given))]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"no file {', '.join(missing)}")
    loaded = functools.lru_cache(maxsize=4)(load_run)
    found = {str(p): functools.partial(loaded, str(p), cfg.trusted) for p in paths}
    return {**found, COPY_LAST: None}


def show(
    net: Predictor, past: Tensor, truth: Tensor | None, horizon: int, name: str
) -> Sequence[str]:
    """Film, one sentence and error curves as HTML, Markdown, HTML."""
    device = next((tensor.device for tensor in net.state_dict().values()), "cpu")
    future = net.predict(past[None].to(device), horizon=horizon)[0].cpu()
    label = Path(name).parent.parent.name or name
    pages = comparison_frames(past, truth, {label: future}, caption="")
    with tempfile.TemporaryDirectory() as folder:
        write_gif(Path(folder) / "film.gif", pages, fps=5)
        film = _embedded(Path(folder) / "film.gif", "input, truth, prediction and error")
        if truth is None:
            return film, "What comes next is not known: no error.", ""
        errors = errors_of(past, truth, future)
        lines = {label: errors["prediction"], "copy last": errors["copy_last"]}
        curve = Path(folder) / "curve.png"
        plot_curves(curve, {}, {key: value["per_frame"] for key, value in lines.items()})
        drawn = _embedded(curve, "error by lead time")
    ours, copy = (errors[key]["metrics"] for key in ("prediction", "copy_last"))
    words = (f"{key} {_number(ours[key])} (copy last {_number(copy[key])})" for key in ours)
    return film, ", ".join(words), drawn


def _embedded(path: Path, alt: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return FILM.format(alt=alt, kind=path.suffix.removeprefix("."), data=data)


def _number(value: float | None) -> str:
    return "∞" if value is None else f"{value:.3f}"
