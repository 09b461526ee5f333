"""Bandwidth over the working set: what a machine's caches hold."""
