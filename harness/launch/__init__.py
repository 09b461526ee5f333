"""Launching a point, and what may happen to processes meanwhile."""
