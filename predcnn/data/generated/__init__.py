"""Data sets drawn on demand: Moving MNIST and its relatives."""
