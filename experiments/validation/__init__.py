"""One instrument of measuring against another."""
