"""Studies on Slurm clusters: what is submitted, what its tasks do, and how it stands."""
