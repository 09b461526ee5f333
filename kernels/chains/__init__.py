"""A network's gradient as a chain of Jacobians, multiplied in any order."""
