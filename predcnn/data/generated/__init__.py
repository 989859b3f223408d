"""Data sets generated on demand: Moving MNIST and its variants."""
