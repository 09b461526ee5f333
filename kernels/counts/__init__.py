"""Floating-point operations and bytes, from shapes alone."""
