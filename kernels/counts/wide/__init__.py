"""Counts of the layout that has as many images as lanes."""
