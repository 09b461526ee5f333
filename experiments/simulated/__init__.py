"""A study's emulated points, simulated."""
