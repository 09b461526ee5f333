"""Machines and their roofs: described, and measured here."""
