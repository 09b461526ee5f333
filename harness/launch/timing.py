"""Time a workload's repetitions: barrier, monotonic clock, maximum over ranks.

The clock, the barrier and the reduction are arguments, so that tests give it fakes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

#: Seconds by which clocks may differ: that of the system is coarse.
_SLACK = 1.0


class Repetition(NamedTuple):
    """One timed repetition.

    Attributes:
        number: its number in its launch, warm-ups included.
        warmup: whether it only warmed up.
        seconds: from the barrier until the slowest rank was done.
        metrics: what this rank's ``run`` returned.
        own_seconds: until this rank was done.
    """

    number: int
    warmup: bool
    seconds: float
    metrics: dict[str, Any]
    own_seconds: float = 0.0


def now() -> str:
    """The present moment, UTC, ISO 8601 with milliseconds."""
    # No datetime, which every rank would import for this.
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{moment}.{nanoseconds // 10**6:03d}Z"


def uptime() -> float:
    """Seconds since some moment in the past, in hundredths, from the system and no clock of Python.

    Programs that replace Python's clocks (as tests do, to stop time) leave it alone.
    """
    return os.times().elapsed


def check_seconds(repetition: Repetition, elapsed: float) -> None:
    """Refuse a time that a repetition cannot have taken: a workload may have replaced the clock.

    Args:
        repetition: what was timed.
        elapsed: seconds since before it began, by `uptime`.

    Raises:
        ValueError: if it took no time at all, less, or more than has passed.
    """
    if not 0 < repetition.seconds <= elapsed + _SLACK:
        raise ValueError(
            f"repetition {repetition.number} took {repetition.seconds:g} s by its clock; expected "
            f"more than 0 and at most the {elapsed:.2f} s that have passed since the launch began "
            "(does the workload replace Python's clock?)"
        )


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
        told = {} if metrics is None else metrics
        yield Repetition(index, warmup, maximum(seconds), told, seconds)
