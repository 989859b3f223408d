"""Pre-train a backbone without labels: ``… method=a2mim backbone=van_b0 data.root=imagenet``."""

from predcnn.app.cli import pretrain_backbone

if __name__ == "__main__":
    pretrain_backbone()
