"""Train, test and compare models: ``python scripts/benchmark.py 'translators=[gsta,vit]'``."""

from predcnn.app.cli import benchmark

if __name__ == "__main__":
    benchmark()
