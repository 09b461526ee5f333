"""The kernels, each declared once: its inputs, its reference, what it counts, its variants.

A new kernel is a `Kernel` in `kernels.declarations.registry`; nothing else knows it by name.
"""
