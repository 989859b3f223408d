"""Worked examples, and heads to copy."""
