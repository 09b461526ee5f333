"""Whether data_parallel trains the weights that sequential trains."""
