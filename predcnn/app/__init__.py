"""Commands: one function each, called with the composed configuration."""
