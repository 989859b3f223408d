"""Weight files, read without running code, and the conversion of published names."""
