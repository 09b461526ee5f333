"""Timing kernels and stages, and placing them under the roofs."""
