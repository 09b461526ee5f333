"""Demonstrations of how the strategies behave: each prints a small table.

``python -m experiments.protocol latency | memory | fairness | kills | aborts | timeline``
"""
