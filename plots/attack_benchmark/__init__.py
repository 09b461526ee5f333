"""Attacks and updates beside those of other libraries."""
