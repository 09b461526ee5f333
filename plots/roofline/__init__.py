"""Kernels under the roofs of a machine."""
