"""Reference implementations for the tests, the speed comparisons and the GPU check."""
