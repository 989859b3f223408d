"""Scripts for developers of predcnn: speed comparisons, the GPU check, stress tests."""
