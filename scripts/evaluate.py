"""Recompute results.json from a checkpoint: ``python scripts/evaluate.py ckpt_path=…``."""

from predcnn.app.cli import evaluate

if __name__ == "__main__":
    evaluate()
