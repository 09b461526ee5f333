"""Time a workload's repetitions: barrier, monotonic clock, maximum over ranks.

The clock, the barrier and the reduction are arguments, so that tests give it fakes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Repetition:
    """One timed repetition.

    Attributes:
        index: number in its launch, warm-ups included.
        warmup: whether it only warmed up.
        seconds: from the barrier until the slowest rank was done.
        metrics: what this rank's ``run`` returned.
    """

    index: int
    warmup: bool
    seconds: float
    metrics: dict[str, Any]


def now() -> str:
    """The present moment, UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def repetitions(
    run: Callable[[], dict[str, Any] | None],
    *,
    prepare: Callable[[bool], object],
    warmups: int,
    timed: int,
    clock: Callable[[], float],
    barrier: Callable[[], object],
    maximum: Callable[[float], float],
) -> Iterator[Repetition]:
    """Run the warm-ups, then the timed repetitions.

    Args:
        run: the work.
        prepare: called before each repetition, outside the timing, with whether it is a warm-up.
        warmups: repetitions that are marked as warm-ups.
        timed: repetitions after them.
        clock: monotonic seconds.
        barrier: returns when all ranks have come to it.
        maximum: the largest of the ranks' values, on every rank.
    """
    for index in range(warmups + timed):
        warmup = index < warmups
        prepare(warmup)
        barrier()
        started = clock()
        metrics = run()
        seconds = clock() - started
        yield Repetition(index, warmup, maximum(seconds), {} if metrics is None else metrics)
