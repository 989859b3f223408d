"""Draw predictions of checkpoints: ``python scripts/predict.py ckpt_path=…``."""

from predcnn.app.cli import run

if __name__ == "__main__":
    run("predict")
