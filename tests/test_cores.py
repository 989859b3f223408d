"""What is set before torch is loaded: waiting on busy machines, deterministic=strict."""

import json
import os
import subprocess
import sys

import pytest

from predcnn import cores


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        (None, {}),
        (0.1, {}),
        (0.4, {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "passive"}),
        (2.1, {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}),
        (4.0, {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}),
    ],
)
def test_a_busy_machine_gets_fewer_threads(others, chosen):
    assert cores.thread_settings(others, 4) == chosen


@pytest.mark.skipif(cores.machine_seconds() is None, reason="no /proc/stat on this system")
def test_a_spinning_process_counts_as_other():
    spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        others = cores.Watch().others(1.0)
    finally:
        spinner.kill()
        spinner.wait()
    assert others > cores.BUSY_CORES


def test_adapting_prints_one_line_and_sets_the_environment(capsys, monkeypatch):
    monkeypatch.setattr(cores.Watch, "others", lambda self, seconds=0.0: 1.2)
    environment: dict[str, str] = {}
    cores.adapt(cores.Watch(), environment)
    assert environment == cores.thread_settings(1.2, os.cpu_count())
    assert "cores: OMP_NUM_THREADS=" in capsys.readouterr().out
    for chosen in ({"OMP_NUM_THREADS": "1"}, {"OMP_WAIT_POLICY": "active"}):
        environment = dict(chosen)
        cores.adapt(cores.Watch(), environment)
        assert environment == chosen
        assert capsys.readouterr().out == ""


CONTRARY = {
    "OMP_NUM_THREADS": "2",
    "MKL_NUM_THREADS": "2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "MKL_CBWR": "AVX2",
    "PREDCNN_KERNELS": "1",
}
"""An environment of the caller against everything that deterministic=strict sets."""
PROGRAM = """
import json, multiprocessing
from predcnn.cores import make_strict
make_strict("strict")
import torch
from predcnn import native
def seen(call):
    capability = torch.backends.cpu.get_cpu_capability
    return call(torch.get_num_threads), call(capability), call(native.describe)
print(json.dumps([seen(lambda f: f()), *(
    seen(multiprocessing.get_context(kind).Pool(1).apply) for kind in ("fork", "spawn")
)]), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_strict_overrides_the_environment_in_this_process_and_its_children():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | CONTRARY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    kernels = "none: switched off by PREDCNN_KERNELS=0"
    assert json.loads(done.stdout) == [[1, "DEFAULT", kernels]] * 3


def test_strict_without_a_choice_leaves_the_environment():
    environment = dict(CONTRARY)
    cores.make_strict(None, environment)
    assert environment == CONTRARY
    assert cores.strict_settings(environment) is None
    assert cores.strict_settings(CONTRARY | cores.STRICT) == cores.STRICT


@pytest.mark.parametrize("chosen", ["strcit", True, 1])
def test_an_unknown_value_is_refused_with_the_accepted_ones(chosen):
    with pytest.raises(ValueError, match=rf"no deterministic {chosen!r}; .*accepted: strict, null"):
        cores.make_strict(chosen, {})


def test_strict_is_refused_where_torch_is_loaded():
    with pytest.raises(ValueError, match="acts before torch is loaded"):
        cores.make_strict("strict", {})
    cores.make_strict("strict", dict(cores.STRICT))
