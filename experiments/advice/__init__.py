"""When to take which strategy, by simulation."""
