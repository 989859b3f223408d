"""Weight files and the names in them: read without running code, matched strictly."""
