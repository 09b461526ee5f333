"""Compute kernels placed on the roofline: a machine's roofs, and how near kernels come to them.

``ceilings`` measures the roofs, ``stages`` the stages of the fused engine; ``work`` counts what a
stage computes and moves.

Source of the model: S. Williams, A. Waterman and D. Patterson, "Roofline: An Insightful Visual
Performance Model for Multicore Architectures", Communications of the ACM 52(4), 2009.
"""
