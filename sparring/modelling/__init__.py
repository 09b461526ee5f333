"""Past the cores at hand: calibration, emulated ranks, a simulator and virtual execution.

Nothing here imports torch, except `measuring`, which calibrates, and `virtual`, which trains.
"""
