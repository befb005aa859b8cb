"""Measurements: ours beside the field, in one run. See ``python -m bench --help``."""
