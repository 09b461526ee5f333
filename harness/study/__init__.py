"""A study's file: what it says, and the points that it stands for."""
