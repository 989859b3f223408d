"""Published data files: reading, verifying and fetching them."""
