"""Train an image classifier and test it once: ``… backbone=moganet_tiny data.root=imagenet``."""

from predcnn.app.cli import run

if __name__ == "__main__":
    run("train_backbone")
