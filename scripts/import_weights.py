"""Turn a published checkpoint into ours: ``python scripts/import_weights.py weights=…``."""

from predcnn.app.cli import import_weights

if __name__ == "__main__":
    import_weights()
