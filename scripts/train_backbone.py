"""Train an image classifier and test it once: ``… backbone=moganet_tiny data.root=imagenet``."""

from predcnn.app.cli import train_backbone

if __name__ == "__main__":
    train_backbone()
