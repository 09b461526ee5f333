"""Bytes that kernels move between levels of memory: simulated, counted, derived."""
