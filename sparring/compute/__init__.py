"""What strategies drive: a model, its data, attack and optimizer, by PyTorch or the engine."""
