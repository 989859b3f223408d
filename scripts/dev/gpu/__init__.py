"""The stages of the GPU check, one file each; `scripts/dev/gpu_check.py` runs them in order."""
