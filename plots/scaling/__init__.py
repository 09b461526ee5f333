"""Speed-up and efficiency over processes: fits, bounds, predictions."""
