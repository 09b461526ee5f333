"""Rounds of measurements: in each, every way is timed once, in an order of its own.

What slows the machine for a while falls on all ways alike, so that ratios of times in one round
mean something on a shared machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from kernels.threads import Stopwatch

#: A measurement goes on until it lasted so long, with as many calls as that takes.
SHORTEST_SECONDS = 0.02


@dataclass
class Way:
    """One way to do the work.

    Attributes:
        name: in the table's column ``method``.
        threads: that it uses, between and inside operators.
        run: does the work once.
        facts: the same in every round, such as counts.
        after: more facts, of what the last run did, not timed; it gets the number of calls.
    """

    name: str
    threads: int
    run: Callable[[], Any]
    facts: dict[str, Any] = field(default_factory=dict)
    after: Callable[[int], dict[str, Any]] = lambda calls: {}


@dataclass(frozen=True)
class Together:
    """How ranks measure the same at the same time.

    Attributes:
        barrier: returns when all ranks have come to it.
        maximum: the largest of the ranks' values.
    """

    barrier: Callable[[], object] = lambda: None
    maximum: Callable[[float], float] = lambda value: value


#: One process by itself.
ALONE = Together()


def warm_up(ways: Sequence[Way], together: Together = ALONE) -> None:
    """Run every way once."""
    for way in ways:
        together.barrier()
        way.run()


def rounds(
    ways: Sequence[Way], count: int, seed: int, together: Together = ALONE
) -> list[dict[str, Any]]:
    """Measure every way once a round.

    Args:
        ways: what is timed; after `warm_up`.
        count: rounds.
        seed: of the order, the same on all ranks.
        together: barrier before, and the maximum over ranks after each measurement.

    Returns:
        a row each: round, place in it, method, threads, calls, seconds of one call, and facts.

    Raises:
        RuntimeError: if a way leaves PyTorch with another number of threads than it found.
    """
    random, found = np.random.default_rng(seed), []
    for number in range(count):
        for place, index in enumerate(random.permutation(len(ways))):
            way, before = ways[index], torch.get_num_threads()
            together.barrier()
            calls, enough = 0, time.perf_counter() + SHORTEST_SECONDS
            with Stopwatch() as watch:
                while not calls or time.perf_counter() < enough:
                    way.run()
                    calls += 1
            if torch.get_num_threads() != before:
                raise RuntimeError(f"{way.name} left {torch.get_num_threads()} threads set; "
                                   f"expected {before}, as before")  # fmt: skip
            row = {
                "round": number, "place": place, "method": way.name, "threads": way.threads,
                "calls": calls, "seconds": together.maximum(watch.seconds / calls),
                "busy_cores": watch.cores,
            }  # fmt: skip
            found.append(row | way.facts | way.after(calls))
    return found
