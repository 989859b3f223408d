"""Measure ours against the plain formulations: ``python scripts/bench.py group=forward``."""

from predcnn.app.cli import bench

if __name__ == "__main__":
    bench()
