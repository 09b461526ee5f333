"""A study that is run: what it lacks, in which order it is launched, and its states."""
