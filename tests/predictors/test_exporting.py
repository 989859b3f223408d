"""Graphs of all predictors, for any batch size and without operators of our own."""

import pytest
import torch

from predcnn.predictors.create import create_predictor
from predcnn.predictors.exporting import FORMATS, capture, write_exported
from tests.predictors import one_pass_cases
from tests.predictors.recurrent_cases import clip, recurrent_names, tiny

# the computed blocks depend on the data
BY_DATA = {"dmvfn"}


@pytest.mark.slow  # a graph of all steps takes seconds
@pytest.mark.parametrize("name", recurrent_names())
def test_a_recurrent_predictor_is_captured_for_any_batch(name):
    net = tiny(name, frames_out=2)
    if name in BY_DATA:
        with pytest.raises(ValueError, match=f"{name} cannot be captured .*data-dependent"):
            capture(net)
        return
    graph = capture(net).module()
    for batch in (1, 3):
        past = clip(batch, net.in_shape[0])
        torch.testing.assert_close(graph(past), net.predict(past), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["predformer", "wast", "mmvp"])
def test_a_one_pass_predictor_is_captured_for_any_batch(name):
    net = one_pass_cases.tiny(name, frames_out=2).eval()
    graph = capture(net).module()
    for batch in (1, 3):
        past = torch.rand(batch, *net.in_shape)
        torch.testing.assert_close(graph(past), net.predict(past), atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "translator", ["mamba", "swin", "vmamba", "dcnv4", "gatedtransformer", "spacetime"]
)
def test_a_graph_has_no_custom_operator(translator):
    net = create_predictor(
        "simvp", in_shape=(2, 1, 16, 16), translator=translator, hid_S=8, hid_T=16, N_S=2, N_T=2
    ).eval()
    program = capture(net)
    kernels = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [name for name in kernels if name.startswith("predcnn")]
    past = torch.rand(3, *net.in_shape)
    torch.testing.assert_close(program.module()(past), net.predict(past), atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_vmrnn_runs_in_onnxruntime(tmp_path):
    for package in ("onnxruntime", "onnxscript"):
        pytest.importorskip(package, reason=f"{package} is not installed (extra export)")
    net = tiny("vmrnn", frames_out=2, depths=1)  # converting VMRNN-D takes minutes
    path = write_exported(capture(net), tmp_path / "vmrnn.onnx", "onnx")
    run = FORMATS["onnx"].open(path, 1)
    for batch in (1, 3):
        past = clip(batch, net.in_shape[0])
        torch.testing.assert_close(run(past), net.predict(past), atol=1e-5, rtol=1e-4)
