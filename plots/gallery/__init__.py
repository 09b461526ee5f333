"""Pictures of adversaries before and after training."""
