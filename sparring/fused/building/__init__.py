"""Compiling the engine for a network and a machine, once, and keeping what was compiled."""
