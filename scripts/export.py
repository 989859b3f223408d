"""Checkpoints for other runtimes: ``python scripts/export.py ckpt_path=… format=onnx``."""

from predcnn.app.cli import run

if __name__ == "__main__":
    run("export")
