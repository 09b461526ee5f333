"""The command line `python -m kernels`."""
