"""Look into networks: ``python scripts/analyze.py kind=erf model=moganet_xtiny``."""

from predcnn.app.cli import analyze

if __name__ == "__main__":
    analyze()
