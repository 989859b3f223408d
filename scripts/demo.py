"""Try checkpoints in the browser: ``python scripts/demo.py``."""

from predcnn.app.cli import run

if __name__ == "__main__":
    run("demo")
