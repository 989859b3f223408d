"""Pre-train a backbone without labels: ``… method=a2mim backbone=van_b0 data.root=imagenet``."""

from predcnn.app.cli import run

if __name__ == "__main__":
    run("pretrain_backbone")
