"""How old batches are, and what that costs."""
