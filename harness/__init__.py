"""The harness: study -> points -> launches -> repeated timing -> tidy rows.

It imports no torch and knows no neural network: it runs any workload at any scale and records it.
"""
