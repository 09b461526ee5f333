"""Threads inside operators, between them, and processes instead."""

from experiments.openmp.workload import OpenMP

__all__ = ["OpenMP"]
