"""Export of predictors to ONNX, OpenVINO's IR and torch.export's archive.

The batch size stays free, frame size and horizon are fixed.
"""

import functools
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from predcnn import checks
from predcnn.files import replacing
from predcnn.predictors.protocol import Predictor, check_frames_out

Runner = Callable[[Tensor], Tensor]
"""Past frames (B, T, C, H, W) -> future frames, both float32 on the CPU."""

needed = functools.partial(checks.needed, extra="export")
WARM_UP = 2
EXAMPLES = 2  # sequences at capture: a batch of 1 would become a constant


class FixedHorizon(nn.Module):
    """A predictor that always gives ``horizon`` frames, (B, T, C, H, W) -> (B, horizon, ...)."""

    def __init__(self, predictor: Predictor, horizon: int) -> None:
        super().__init__()
        self.predictor, self.horizon = predictor, horizon

    def forward(self, past: Tensor) -> Tensor:
        return self.predictor.rollout(past, self.horizon)


@dataclass(frozen=True)
class Format:
    """A file format: its suffix, how to write a file, and how to run one on some threads."""

    ending: str
    write: Callable[[torch.export.ExportedProgram, Path], None]
    open: Callable[[Path, int], Runner]


def capture(
    predictor: Predictor, *, horizon: int | None = None, size: Sequence[int] | None = None
) -> torch.export.ExportedProgram:
    """Capture the graph of ``predictor.rollout`` for any batch size, in eval mode.

    Args:
        horizon: number of predicted frames; None: ``frames_out``.
        size: (height, width) of the frames; None: as built.
    """
    T, C, H, W = predictor.in_shape
    height, width = (H, W) if size is None else size
    if predictor.needs_resolution and (height, width) != (H, W):
        raise ValueError(f"{predictor.config['name']} takes frames of {W}x{H} pixels only")
    fixed = FixedHorizon(predictor, check_frames_out(horizon, predictor.frames_out)).eval()
    past = torch.rand(EXAMPLES, T, C, height, width, generator=torch.Generator().manual_seed(0))
    batch = {"past": {0: torch.export.Dim("batch", min=1, max=2**31 - 1)}}
    try:
        with torch.no_grad():
            return torch.export.export(fixed, (past,), dynamic_shapes=batch)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        name = predictor.config["name"]
        raise ValueError(f"{name} cannot be captured for export: {_first_line(error)}") from error


def write_exported(program: torch.export.ExportedProgram, path: Path, format: str) -> Path:
    """Write a captured program atomically; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    FORMATS[format].write(program, path)
    return path


def _write_torch(program: torch.export.ExportedProgram, path: Path) -> None:
    with replacing(path) as temporary:
        torch.export.save(program, temporary)


def _write_onnx(program: torch.export.ExportedProgram, path: Path) -> None:
    needed("onnxscript")
    names = {"input_names": ["past"], "output_names": ["future"]}
    try:
        converted = torch.onnx.export(program, (), dynamo=True, verbose=False, **names)
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, NotImplementedError) as error:
        raise _unsupported("ONNX", error) from error
    with replacing(path) as temporary:
        converted.save(temporary)


def _open_onnx(path: Path, threads: int) -> Runner:
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda past: torch.from_numpy(session.run(None, {"past": past.numpy()})[0])


def _write_openvino(program: torch.export.ExportedProgram, path: Path) -> None:
    openvino = needed("openvino")
    try:
        model = openvino.convert_model(program)
    except (openvino.frontend.OpConversionFailure, RuntimeError, NotImplementedError) as error:
        raise _unsupported("OpenVINO", error) from error
    with tempfile.TemporaryDirectory(prefix=".openvino_", dir=path.parent) as folder:
        draft = Path(folder) / path.name
        openvino.save_model(model, draft, compress_to_fp16=False)
        draft.with_suffix(".bin").replace(path.with_suffix(".bin"))
        draft.replace(path)


def _open_openvino(path: Path, threads: int) -> Runner:
    openvino = needed("openvino")
    how = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(path, "CPU", how)
    return lambda past: torch.from_numpy(np.array(compiled(past.numpy())[0]))


def quantized(source: Path, target: Path, frames: Iterable[Tensor]) -> Path:
    """Quantize the .onnx ``source`` to int8, statically, weights per output channel.

    Ranges are measured on ``frames``, batches of real past frames (B, T, C, H, W).
    """
    quantization = needed("onnxruntime.quantization")
    batches = iter([{"past": past.numpy()} for past in frames])

    class Reader(quantization.CalibrationDataReader):
        """Batches one after the other."""

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(batches, None)

    with tempfile.TemporaryDirectory(prefix=".int8_", dir=target.parent) as folder:
        ready = Path(folder) / "ready.onnx"
        quantization.quant_pre_process(source, ready, skip_symbolic_shape=True)
        with replacing(target) as temporary:
            quantization.quantize_static(
                ready,
                temporary,
                Reader(),
                per_channel=True,
                reduce_range=True,  # 8-bit products overflow 16 bits on processors without VNNI
                op_types_to_quantize=["Conv", "MatMul", "Gemm", "ConvTranspose"],
            )
    return target


def bfloat16(run: Runner) -> Runner:
    """Return a runner under autocast to bfloat16."""

    def reduced(past: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return run(past).float()

    return reduced


def check_runner(run: Runner, past: Tensor, expected: Tensor, path: Path, tolerance: float) -> None:
    """Compare an exported file with PyTorch, on a batch and on one sequence.

    If they differ by more than ``tolerance``, remove the file and raise ValueError.
    """
    for count in sorted({1, len(past)}):
        difference = (run(past[:count]) - expected[:count]).abs().max().item()
        if not difference <= tolerance:
            for file in (path, path.with_suffix(".bin")):
                file.unlink(missing_ok=True)
            raise ValueError(
                f"{path.name} differs from PyTorch by {difference:.2g} on real frames, more than "
                f"tolerance={tolerance:g}; it was removed"
            )


def latencies(runners: Mapping[str, Runner], past: Tensor, repeats: int) -> dict[str, float]:
    """Return median milliseconds of each runner; they alternate, for equal load."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for i in range(WARM_UP + repeats):
        for name, run in runners.items():
            started = time.perf_counter()
            run(past)
            if i >= WARM_UP:
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}


def _unsupported(runtime: str, error: Exception) -> ValueError:
    text, cause = str(error), error.__cause__
    while cause is not None:  # torch's exporter names the operator only in the cause
        text, cause = f"{text} {cause}", cause.__cause__
    found = re.findall(r"(?:aten|prims|torchvision|predcnn)[.:]+\w+", text)
    names = ", ".join(sorted({re.sub(r"[.:]+", "::", name) for name in found}))
    what = f"knows no {names}" if names else f"refuses the graph: {_first_line(error)}"
    return ValueError(
        f"{runtime} {what}; use format=torch_export, which keeps every operator of PyTorch, or "
        "another translator"
    )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))


FORMATS = {
    "onnx": Format(".onnx", _write_onnx, _open_onnx),
    "openvino": Format(".xml", _write_openvino, _open_openvino),
    "torch_export": Format(
        ".pt2", _write_torch, lambda path, _: torch.no_grad()(torch.export.load(path).module())
    ),
}
"""By the value of ``format`` on the command line."""
