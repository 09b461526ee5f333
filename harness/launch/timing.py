"""Time a workload's repetitions: barrier, monotonic clock, maximum over ranks.

The clock, the barrier and the reduction are arguments, so that tests give it fakes.
"""

from __future__ import annotations

import os
import time
from time import perf_counter  # our own: a workload may put another clock in its place

TYPE_CHECKING = False  # a rank imports no typing for this
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

#: Seconds by which clocks may differ: that of the system is coarse.
_SLACK = 1.0
_CLOCK_STEPS_SEEN = 200
#: A repetition that may call ``run`` several times lasts so many steps of the clock: ten times
#: what is marked as too short (`harness.noise.kinds`).
STEPS_OF_CLOCK = 10_000
#: Times are steady when the last few differ by so little (dimensionless).
_LAST, _VARIATION = 3, 0.02
_MARGIN = 1.2


class Repetition:
    """One timed repetition.

    Attributes:
        number: its number in its launch, warm-ups included.
        warmup: whether it only warmed up.
        seconds: of one call of ``run``, from the barrier until the slowest rank was done.
        metrics: what this rank's ``run`` returned last.
        own_seconds: of one call, until this rank was done.
        calls: how often ``run`` was called in it.
    """

    def __init__(
        self, number: int, warmup: bool, seconds: float, metrics: dict[str, Any],
        own_seconds: float = 0.0, calls: int = 1,
    ) -> None:  # fmt: skip
        self.number, self.warmup, self.seconds = number, warmup, seconds
        self.metrics, self.own_seconds, self.calls = metrics, own_seconds, calls


def clock_step() -> float:
    """The smallest step that the clock of repetitions was seen to take, in seconds.

    Its resolution, or what it takes to read it twice, whichever is longer: what is known of the
    clock (`time.get_clock_info`) is what the system counts in, which may be far finer than either.
    """
    steps = []
    for _ in range(_CLOCK_STEPS_SEEN):
        began = ended = perf_counter()
        while ended == began:
            ended = perf_counter()
        steps.append(ended - began)
    return min(steps)


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
    if not 0 < repetition.seconds * repetition.calls <= elapsed + _SLACK:
        raise ValueError(
            f"repetition {repetition.number} took {repetition.seconds:g} s by its clock; expected "
            f"more than 0 and at most the {elapsed:.2f} s that have passed since the launch began "
            "(does the workload replace Python's clock?)"
        )


class Pace:
    """How many repetitions a launch has, and how often each calls ``run``.

    Every rank decides for itself, from times that all of them share, and so all decide alike.

    Args:
        warmups: so many warm-ups at least.
        most_warmups: warm-ups go on up to so many until their times are `steady`.
        timed: repetitions after them.
        shortest: seconds that a repetition must last; one that is shorter becomes a warm-up, and
            the next one calls ``run`` more often. 0 takes all as they are.
    """

    def __init__(self, warmups: int, most_warmups: int, timed: int, shortest: float = 0.0) -> None:
        self._warmups, self._most, self._timed = warmups, max(warmups, most_warmups), timed
        self._shortest = shortest
        self._warm: list[float] = []
        self._counted = 0
        #: How often the next repetition calls ``run``.
        self.calls = 1

    @property
    def taken(self) -> int:
        """Repetitions so far, warm-ups included."""
        return len(self._warm) + self._counted

    @property
    def warming(self) -> bool:
        """Whether the next repetition is a warm-up."""
        number = len(self._warm)
        if self._counted or number >= self._most:
            return False
        return number < self._warmups or not steady(self._warm)

    @property
    def done(self) -> bool:
        """Whether there are enough of them."""
        return self._counted >= self._timed

    def took(self, seconds: float) -> bool:
        """Count a repetition that took so long in all; whether it was a warm-up."""
        short = 0 < seconds < self._shortest
        warmup = self.warming or short
        if warmup:
            self._warm.append(seconds / self.calls)
        else:
            self._counted += 1
        if short:
            wanted = _MARGIN * self.calls * self._shortest / seconds
            self.calls = max(2 * self.calls, int(wanted) + 1)
        return warmup


def steady(seconds: Sequence[float]) -> bool:
    """Whether warm-ups have come to an end: the last three vary by less than 2 %.

    By their standard deviation over their mean, as Georges, Buytaert and Eeckhout have it
    ("Statistically Rigorous Java Performance Evaluation", OOPSLA 2007, section 4.2).

    Args:
        seconds: of the warm-ups, in their order.
    """
    last = seconds[-_LAST:]
    if len(last) < _LAST:
        return False
    mean = sum(last) / len(last)
    variance = sum((value - mean) ** 2 for value in last) / (len(last) - 1)
    return variance < (_VARIATION * mean) ** 2


def repetitions(
    run: Callable[[], dict[str, Any] | None],
    *,
    prepare: Callable[[bool], object],
    pace: Pace,
    clock: Callable[[], float],
    barrier: Callable[[], object],
    maximum: Callable[[float], float],
) -> Iterator[Repetition]:
    """Run the warm-ups, then the timed repetitions.

    A repetition that turns out too short for the clock has only warmed up: the next one calls
    ``run`` more often.

    Args:
        run: the work.
        prepare: called before each repetition, outside the timing, with whether it is a warm-up.
        pace: how many of them there are, and how often each calls ``run``; the same on all ranks.
        clock: monotonic seconds.
        barrier: returns when all ranks have come to it.
        maximum: the largest of the ranks' values, on every rank.
    """
    while not pace.done:
        number, calls = pace.taken, pace.calls
        prepare(pace.warming)
        barrier()
        started = clock()
        for _ in range(calls):
            metrics = run()
        own = clock() - started
        seconds = maximum(own)
        warmup = pace.took(seconds)
        told = {} if metrics is None else metrics
        yield Repetition(number, warmup, seconds / calls, told, own / calls, calls)
