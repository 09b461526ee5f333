"""Bytes as Callgrind's cache simulation tells them."""
