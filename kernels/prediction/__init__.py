"""Times predicted from a static analysis of what ran and from simulated traffic."""
