"""How long collectives take, and messages that one rank takes in one after the other.

Sources: R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of Collective Communication
Operations in MPICH", IJHPCA 19(1), 2005, sections 4 and 5: recursive doubling; reduce-scatter and
all-gather by halving and doubling; binomial broadcast; scatter and all-gather. The fastest of them
is taken, as MPI libraries choose by size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from sparring.modelling.calibration.calibration import Calibration, Collective, Link
from sparring.modelling.simulator.machine import Floats, Machine

#: Seconds of a collective over a link, among so many, of so many bytes.
Formula = Callable[[Link, int, float], float]


def allreduce_seconds(machine: Machine, size: float) -> float:
    """One all-reduce of ``size`` bytes among all ranks, once the last has come."""
    return _over_nodes(machine, size, machine.calibration.allreduce, _allreduce, twice=True)


def broadcast_seconds(machine: Machine, size: float) -> float:
    """One broadcast of ``size`` bytes from rank 0, once all have come."""
    return _over_nodes(machine, size, machine.calibration.broadcast, _broadcast, twice=False)


def shared_reduction_seconds(machine: Machine, size: float) -> float:
    """One sum of ``size`` bytes through the memory of each node, once the last rank has come.

    As `sparring.strategies.reduction.SharedReduction` does it: every rank adds up a slice of what
    its node's ranks have, between two meetings; over nodes the slices are all-reduced, all of them
    through each node's one interface.
    """
    calibration, within = machine.calibration, machine.ranks_on(0)
    seconds = _inside(calibration, within, size, calibration.shared_reduction, _shared_reduction)
    if machine.nodes > 1:
        assert calibration.between is not None
        seconds += _allreduce(calibration.between, machine.nodes, size)
    return seconds


def factor_exchange_seconds(machine: Machine, images: int) -> float:
    """The same of ``images`` images' gradients as factors: see `Compute.gradients_to_add`.

    Every rank reads its part of the factors of its node's images, and multiplies them.
    """
    calibration, within = machine.calibration, machine.ranks_on(0)
    here = -(-images // machine.nodes)
    seconds = 2 * _meeting(calibration.within, within)
    seconds += calibration.within.seconds(here * calibration.factor_bytes / within)
    seconds += machine.factor(within) * machine.times(here).add_gradients.mean / within
    if machine.nodes > 1:
        assert calibration.between is not None
        seconds += _allreduce(calibration.between, machine.nodes, float(calibration.gradient_bytes))
    return float(seconds)


def divided_exchange(machine: Machine, images: int, whole: float) -> tuple[str, float]:
    """Of an update on so many images, by ranks that step on a part each of one copy of the weights.

    Args:
        machine: with their number.
        images: of all ranks, in shares of nearly one size.
        whole: seconds to add up gradients.

    Returns:
        the name of what each computes, in `Work`; seconds to add that up.
    """
    if -(-images // machine.processes) <= machine.calibration.factor_room:
        return "gradients_to_add", factor_exchange_seconds(machine, images)
    return "gradients", whole


def shared_broadcast_seconds(machine: Machine, size: float) -> float:
    """All ranks may read what rank 0 wrote: a meeting in each node, a broadcast between nodes."""
    calibration, within = machine.calibration, machine.ranks_on(0)
    seconds = _meeting(calibration.within, within)
    if machine.nodes > 1:
        assert calibration.between is not None
        seconds += _broadcast(calibration.between, machine.nodes, size)
    return seconds


def _meeting(link: Link, processes: int) -> float:
    """A barrier: a round of messages for each doubling of the ranks."""
    return math.ceil(math.log2(processes)) * link.seconds(0) if processes > 1 else 0.0


def _shared_reduction(link: Link, processes: int, size: float) -> float:
    # Each rank reads its slice of every rank's numbers: as many bytes as one rank has, whatever p.
    return 2 * _meeting(link, processes) + link.seconds(size)


def _over_nodes(
    machine: Machine, size: float, known: Sequence[Collective], formula: Formula, *, twice: bool
) -> float:
    """Inside the nodes, then between them; of an all-reduce, inside once more to spread it."""
    calibration, within = machine.calibration, machine.ranks_on(0)
    seconds = _inside(calibration, within, size, known, formula)
    if machine.nodes == 1:
        return seconds
    assert calibration.between is not None
    seconds += formula(calibration.between, machine.nodes, size)
    if twice:
        seconds += _inside(calibration, within, size, calibration.broadcast, _broadcast)
    return float(seconds)


def _inside(
    calibration: Calibration, processes: int, size: float, known: Sequence[Collective],
    formula: Formula,
) -> float:  # fmt: skip
    """Inside a node: as measured, carried over to other sizes by the formula's ratio."""
    if processes == 1:
        return 0.0
    here = float(formula(calibration.within, processes, size))
    if not known:
        return here
    nearest = min(
        known, key=lambda c: (abs(math.log(c.processes / processes)),
                              abs(math.log(max(c.bytes, 1) / max(size, 1.0)))),
    )  # fmt: skip
    there = float(formula(calibration.within, nearest.processes, float(nearest.bytes)))
    return here * nearest.seconds.mean / there if there else here + nearest.seconds.mean


def _allreduce(link: Link, processes: int, size: float) -> float:
    if processes == 1:
        return 0.0
    rounds = math.ceil(math.log2(processes))
    doubling = rounds * link.seconds(size)
    halving = 2 * sum(link.seconds(size / 2**k) for k in range(1, rounds + 1))
    return min(doubling, halving)


def _broadcast(link: Link, processes: int, size: float) -> float:
    if processes == 1:
        return 0.0
    rounds = math.ceil(math.log2(processes))
    tree = rounds * link.seconds(size)
    scatter = sum(link.seconds(size / 2**k) for k in range(1, rounds + 1))
    return min(tree, scatter + (processes - 1) * link.seconds(size / processes))


def taken_in_turn(ready: Floats, costs: Floats, start: float) -> Floats:
    """When one rank has taken in messages, one after the other as they come.

    Args:
        ready: seconds at which each can be taken, in any order.
        costs: seconds that each takes.
        start: seconds from which the rank takes messages.

    Returns:
        when each was taken, in the order of ``ready``.
    """
    order = np.argsort(ready, kind="stable")
    due, spent = np.maximum(ready[order], start), np.cumsum(costs[order])
    # A message begins when it has come and the one before has been taken.
    ended = np.maximum.accumulate(due - (spent - costs[order])) + spent
    taken = np.empty_like(ended)
    taken[order] = ended
    return taken
