"""Try checkpoints in the browser: ``python scripts/demo.py``."""

from predcnn.app.cli import demo

if __name__ == "__main__":
    demo()
