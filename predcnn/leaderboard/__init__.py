"""Benchmarks: entries are trained, recorded, and shown as tables and a page."""
