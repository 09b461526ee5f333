"""Traffic of kernels on this machine, as its own counters tell (`kernels.traffic.likwid.count`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from kernels.declarations.registry import KERNELS
from kernels.machines.caches import cores
from kernels.traffic.cachesim.simulate import Wanted
from kernels.traffic.likwid.count import Session
from kernels.traffic.likwid.tools import probe
from kernels.traffic.traffic import Traffic

#: Operations and bytes of the shorter run, so that it stands out against a process's start.
_AMOUNT = 2e9


def count(wanted: Sequence[Wanted], tell: Callable[[str], None]) -> dict[Wanted, list[Traffic]]:
    """Traffic of a call at each level, each kernel on one thread.

    Args:
        wanted: what to count.
        tell: takes a line about the progress.

    Raises:
        NoCountersError: if counters cannot be read here.
        SparringError: if counting fails.
    """
    cpu = cores()[0]
    session = Session(probe(cpu), cpu, tell)
    found = {}
    for item in wanted:
        kernel = KERNELS[item.kernel]
        each = kernel.flops(item.case) + kernel.bytes(item.case)
        calls = max(2, math.ceil(_AMOUNT / each))
        found[item] = list(session.kernel(*item.words, calls).traffic)
    return found
