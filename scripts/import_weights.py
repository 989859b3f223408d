"""Turn a published checkpoint into ours: ``python scripts/import_weights.py weights=…``."""

from predcnn.app.cli import run

if __name__ == "__main__":
    run("import_weights")
