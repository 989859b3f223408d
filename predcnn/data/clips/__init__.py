"""Your own videos, folders of images and arrays as sequences, and the readers of such files."""
