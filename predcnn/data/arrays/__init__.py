"""Arrays of numbers with units: readers, layouts, sequences and scales."""
