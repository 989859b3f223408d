"""Commands; a package so that development scripts import each other by full name."""
