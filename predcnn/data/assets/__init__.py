"""Data embedded in the package, see README.md in this folder."""
