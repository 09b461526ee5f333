"""The command line: python -m kernels ceilings, stages, list, measure, cachesim, machines."""
