"""Look into networks: ``python scripts/analyze.py kind=erf model=moganet_xtiny``."""

from predcnn.app.cli import run

if __name__ == "__main__":
    run("analyze")
