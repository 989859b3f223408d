"""Train a predictor, test it once and draw: ``python scripts/train.py translator=moganet``."""

from predcnn.app.cli import run

if __name__ == "__main__":
    run("train")
