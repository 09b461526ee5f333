"""What many processes would have trained: accuracy over simulated time."""
