"""What many processes would have trained, trained on one in simulated time."""
