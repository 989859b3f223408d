"""Look for, fetch and verify data files: ``python scripts/prepare_data.py data=moving_mnist``."""

from predcnn.app.cli import run

if __name__ == "__main__":
    run("prepare_data")
