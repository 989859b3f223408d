"""Train, test and compare models: ``python scripts/benchmark.py 'translators=[gsta,vit]'``."""

from predcnn.app.cli import run

if __name__ == "__main__":
    run("benchmark")
