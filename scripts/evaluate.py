"""Recompute results.json from a checkpoint: ``python scripts/evaluate.py ckpt_path=…``."""

from predcnn.app.cli import run

if __name__ == "__main__":
    run("evaluate")
