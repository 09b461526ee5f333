"""The process that LIKWID counts.

``python -m kernels.traffic.likwid.child KERNEL VARIANT BATCH SIZE CALLS`` calls a kernel so many
times; ``read BYTES CALLS`` instead reads an array of so many bytes, to check the counters against.
"""

from __future__ import annotations

import os
import sys

import torch

from kernels.declarations.kernel import Case
from kernels.declarations.registry import KERNELS
from kernels.machines.probe import Probe
from kernels.samples import checked, inputs, reference
from sparring.errors import SparringError
from sparring.fused.machine import machine_isa


def main(words: list[str]) -> None:
    """Call something so many times, as the words say."""
    torch.set_num_threads(1)
    if words[0] == "read":
        size, calls = map(int, words[1:])
        Probe(machine_isa()).stream("read", size, calls, [min(os.sched_getaffinity(0))])
        return
    name, variant, batch, side, calls = words[0], words[1], *map(int, words[2:])
    kernel, case = KERNELS[name], Case(batch, side)
    given = inputs(kernel, case)
    timed = checked(kernel, variant, given, case, reference(kernel, given))
    if timed.prepared is None or timed.status != "ok":
        raise SparringError(f"{name}, {variant}: {timed.message}")
    for _ in range(calls):
        timed.prepared.run()


if __name__ == "__main__":
    main(sys.argv[1:])
