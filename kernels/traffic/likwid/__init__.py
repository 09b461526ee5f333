"""Bytes as the processor's counters tell them, through LIKWID."""
