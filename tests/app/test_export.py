"""scripts/export.py: exported files are run, compared with PyTorch, and removed if they differ."""

from pathlib import Path

import pytest
import torch
from torch import nn

import predcnn
from predcnn.app.export import _keep_what_pays, export
from predcnn.app.saved_run import load_run
from predcnn.app.train import train
from predcnn.predictors.exporting import FORMATS, _unsupported, capture, needed, write_exported
from tests.app.test_train import command_cfg

PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino", "torch_export": "torch"}


def available(format: str) -> None:
    for package in (PACKAGES[format], *(["onnxscript"] if format == "onnx" else [])):
        pytest.importorskip(package, reason=f"{package} is not installed (extra export)")


@pytest.fixture
def checkpoint(tiny_cfg, tmp_path) -> Path:
    """A gSTA SimVP after two steps."""
    words = ("model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2")
    train(tiny_cfg("translator=gsta", *words))
    return tmp_path / "run/checkpoints/best.ckpt"


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_gives_what_pytorch_gives_for_any_batch(checkpoint, format, capsys):
    available(format)
    rows = export(command_cfg("export", f"ckpt_path={checkpoint}", f"format={format}"))
    assert [row.name for row in rows] == ["PyTorch", format]
    assert rows[1].difference < 1e-4
    assert rows[1].metrics == pytest.approx(rows[0].metrics, rel=1e-4)
    folder = checkpoint.parents[1] / "export"
    endings = {path.suffix for path in folder.iterdir()}
    assert endings == {FORMATS[format].ending} | ({".bin"} if format == "openvino" else set())
    run = FORMATS[format].open(next(folder.glob("*" + FORMATS[format].ending)), 1)
    past = torch.rand(5, 10, 1, 32, 32)
    expected = predcnn.load_predictor(checkpoint).predict(past)
    torch.testing.assert_close(run(past), expected, atol=1e-4, rtol=1e-4)


def test_a_longer_horizon_and_another_size(checkpoint, tmp_path):
    net = load_run(str(checkpoint)).predictor
    program = capture(net.merge(), horizon=13, size=(20, 28))
    path = write_exported(program, tmp_path / "net.pt2", "torch_export")
    past = torch.rand(3, 10, 1, 20, 28)
    expected = predcnn.load_predictor(checkpoint).predict(past, horizon=13)
    torch.testing.assert_close(FORMATS["torch_export"].open(path, 1)(past), expected)


def test_a_file_that_differs_is_removed(checkpoint):
    words = (f"ckpt_path={checkpoint}", "format=torch_export", "tolerance=-1")
    with pytest.raises(ValueError, match=r"differs from PyTorch by .* it was removed"):
        export(command_cfg("export", *words))
    assert not list((checkpoint.parents[1] / "export").iterdir())


def test_eight_bits_and_bfloat16_are_compared_with_float32(checkpoint, capsys):
    available("onnx")
    words = (f"ckpt_path={checkpoint}", "format=onnx", "int8=true", "repeats=3", "sequences=2")
    rows = {row.name: row for row in export(command_cfg("export", *words))}
    assert set(rows) == {"PyTorch", "onnx", "onnx int8", "PyTorch bf16"}
    assert rows["onnx"].difference < 1e-4 < rows["onnx int8"].difference < 1
    assert all(row.latency > 0 for row in rows.values())
    files = {path.name for path in (checkpoint.parents[1] / "export").iterdir()}
    gain = rows["onnx"].latency / rows["onnx int8"].latency
    assert ("simvp_gsta_int8.onnx" in files) == (gain >= 1.5)
    assert ("not kept" in capsys.readouterr().out) == (gain < 1.5)


@pytest.mark.parametrize(("milliseconds", "kept"), [(1.0, True), (7.0, False)])
def test_eight_bits_are_kept_if_faster(tmp_path, milliseconds, kept):
    (tmp_path / "a_int8.onnx").touch()
    written = {"onnx int8": tmp_path / "a_int8.onnx"}
    _keep_what_pays({"onnx": 9.0, "onnx int8": milliseconds}, written)
    assert (tmp_path / "a_int8.onnx").exists() == kept == bool(written)


def test_an_unsupported_operator_is_named_with_an_alternative(tmp_path):
    available("onnx")

    class Odd(nn.Module):
        def forward(self, past):
            return torch.special.bessel_j0(past)

    batch = {"past": {0: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(Odd(), (torch.rand(2, 3),), dynamic_shapes=batch)
    with pytest.raises(ValueError, match=r"ONNX knows no prims::bessel_j0.*torch_export"):
        write_exported(program, tmp_path / "odd.onnx", "onnx")
    assert not list(tmp_path.iterdir())


def test_operators_are_found_in_runtime_errors():
    error = RuntimeError(
        "No conversion rule found for operations: aten::fft_rfft2, aten.foo.default"
    )
    assert "OpenVINO knows no aten::fft_rfft2, aten::foo;" in str(_unsupported("OpenVINO", error))
    outer = RuntimeError("step 3/3 failed")
    outer.__cause__ = error
    assert "ONNX knows no aten::fft_rfft2, aten::foo;" in str(_unsupported("ONNX", outer))


def test_a_predictor_that_cannot_be_captured_is_an_error():
    net = predcnn.create_predictor("mean_frame", in_shape=(2, 1, 8, 8))
    with pytest.raises(ValueError, match="mean_frame cannot be captured for export"):
        capture(net)
    net = predcnn.create_predictor(
        "simvp", in_shape=(2, 1, 16, 16), hid_S=8, hid_T=8, N_T=2, translator="mlpmixer"
    )
    with pytest.raises(ValueError, match="takes frames of 16x16 pixels only"):
        capture(net, size=(20, 20))


def test_a_missing_package_names_the_extra():
    with pytest.raises(ImportError, match=r"pip install 'predcnn\[export\]'"):
        needed("no_such_runtime")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["format=onx"], "no format 'onx'; did you mean onnx"),
        (["format=openvino", "int8=true"], "int8=true quantizes the ONNX file"),
    ],
)
def test_wrong_overrides_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        export(command_cfg("export", "ckpt_path=none.ckpt", *words))
