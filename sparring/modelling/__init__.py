"""Past the cores at hand: calibration, emulated ranks, a simulator and virtual execution.

Nothing here imports torch, except `calibration.compute`, which measures computing, and `virtual`,
which trains.
"""
