"""Counts of the layout that has one image's places in the lanes."""
