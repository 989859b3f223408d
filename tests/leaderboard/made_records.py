"""Records with chosen numbers, of the form that the benchmark writes."""

from collections.abc import Sequence

METRICS = ("mse", "mae", "ssim", "ssim_openstl", "psnr")


def results(mse: float) -> dict:
    values = {"mse": mse, "mae": 2 * mse, "ssim": 1 - mse / 200, "ssim_openstl": 1 - mse / 300}
    values["psnr"] = 20.0 - mse / 50
    curves = {name: [value * (0.8 + 0.1 * t) for t in range(5)] for name, value in values.items()}
    return {"metrics": values, "per_frame": curves}


def data(test: int = 500) -> dict:
    return {
        "name": "moving_mnist",
        "source": "embedded (2,000+500 MNIST digits)",
        "protocol": "isolated",
        "sequences": {"train": 1400, "val": 100, "test": test},
    }


def about(name: str, seed: int, kind: str) -> dict:
    return {
        "kind": "run",
        "fingerprint": f"print-{name}-{seed}",
        "code": "c" * 64,
        "name": name,
        "seed": seed,
        "kind_of_entry": kind,
        "data": data(),
        "test_fingerprint": "t" * 64,
        "scale": "small",
        "budget_minutes": 4,
        "recorded": "2026-01-01T00:00:00+00:00",
    }


def run(
    name: str,
    mse: float,
    seed: int = 42,
    kind: str = "translator",
    params: int = 900_000,
    macs: int = 500_000_000,
    speed: float = 20.0,
) -> dict:
    """A finished run."""
    device = "a CPU, 2 of 2 threads"
    return {
        **about(name, seed, kind),
        "status": "finished",
        "command": f"predcnn train translator={name} seed={seed}",
        "results": {
            **results(mse),
            "params": params,
            "macs": macs,
            "macs_published": macs + 1,
            "copy_last": results(270.0),
            "definitions": {metric: f"what {metric} means" for metric in METRICS},
            "git": {"commit": "0123456789abcdef", "changed": False},
            "timing": {"steps": 500, "sequences": 2000, "steps_s": 240.0, "steps_cpu_s": 420.0},
        },
        "config": {"name": name, "seed": seed, "note": "a < b & c"},
        "throughput": [
            {"sequences_per_second": speed * n**0.5, "batch_size": n, "device": device}
            for n in (1, 4)
        ],
        "inference_memory": {"bytes": 30_000_000, "batch_size": 4},
        "training_memory": {"bytes": 900_000_000, "of": "the process, resident"},
        "history": {"val/mse": [[99, 199, 299], [2 * mse, 1.5 * mse, 1.1 * mse]]},
        "plan": {"steps": 500, "pace": {"seconds_per_step": 0.48}},
        "files": {"sequence": f"entries/{name}/sequence.npz"},
    }


def failure(name: str, reason: str, seed: int = 42, kind: str = "model") -> dict:
    """A failed run."""
    return {**about(name, seed, kind), "status": "failed", "reason": reason, "files": {}}


def black() -> dict:
    """The all-black line."""
    return {
        "kind": "reference",
        "fingerprint": "t" * 64,
        "name": "all_black",
        "results": results(230.0),
    }


def noisy(name: str, mse: float, kind: str = "translator", test: int = 500) -> dict:
    """Tests with noise; each is 10 worse than the one before."""
    tests = ("clean", "perceptual", "missing", "dynamic")
    return {
        "kind": "robustness",
        "fingerprint": f"noisy-{name}-{test}",
        "name": name,
        "kind_of_entry": kind,
        "data": data(test),
        "tests": {
            key: results(mse + 10 * i) | {"copy_last": results(270.0)}
            for i, key in enumerate(tests)
        },
    }


def a_board() -> Sequence[dict]:
    """Translators with two seeds, models, a baseline without weights, a failure."""
    return [
        run("simvp_vit", 120.0, 1, macs=520_000_000, speed=30.0),
        run("simvp_vit", 124.0, 2, macs=520_000_000, speed=30.0),
        run("simvp_moganet", 100.0, 1),
        run("simvp_moganet", 104.0, 2),
        run("simvp_convmixer", 130.0, 1, params=200_000, macs=210_000_000, speed=45.0),
        run("convlstm", 110.0, 1, "model", 1_500_000, 2_100_000_000, 9.0),
        run("mean_frame", 153.0, 1, "model", 0, 0, 9000.0),
        failure("mim", "killed by SIGKILL, as when memory runs out"),
        black(),
    ]
