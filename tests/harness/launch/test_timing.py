from __future__ import annotations

from datetime import datetime

import pytest

from harness.launch import timing
from harness.launch.timing import Pace, Repetition, check_seconds, now, repetitions, steady, uptime


class Rank:
    """A clock that only moves where the test says so, and a log of what was called."""

    def __init__(self):
        self.time = 100.0
        self.calls = []

    def work(self):
        self.calls.append("run")
        self.time += 2.0
        return {"loss": self.time}

    def prepare(self, warmup):
        self.calls.append(("prepare", warmup))
        self.time += 50.0

    def barrier(self):
        self.calls.append("barrier")
        self.time += 7.0

    def measure(
        self, work=None, maximum=lambda seconds: seconds, warmups=1, timed=2, most=0, shortest=0.0
    ):
        return list(
            repetitions(
                work or self.work, prepare=self.prepare, pace=Pace(warmups, most, timed, shortest),
                clock=lambda: self.time, barrier=self.barrier, maximum=maximum,
            )
        )  # fmt: skip


def test_only_the_work_is_timed():
    assert [repetition.seconds for repetition in Rank().measure()] == [2.0, 2.0, 2.0]


def test_warmups_come_first_and_are_marked():
    found = Rank().measure(warmups=2, timed=1)
    assert [(r.number, r.warmup) for r in found] == [(0, True), (1, True), (2, False)]
    assert [r.warmup for r in Rank().measure(warmups=0, timed=1)] == [False]


def test_every_repetition_is_prepared_then_begins_together():
    rank = Rank()
    rank.measure()
    assert rank.calls == [
        ("prepare", True), "barrier", "run",
        ("prepare", False), "barrier", "run",
        ("prepare", False), "barrier", "run",
    ]  # fmt: skip


def test_slowest_rank_counts():
    found = Rank().measure(maximum=lambda seconds: max(seconds, 3.5, 1.0))
    assert [repetition.seconds for repetition in found] == [3.5, 3.5, 3.5]


def taking(rank, *seconds):
    """Work that takes so long each time it is called, and as the last one from then on."""
    left = list(seconds)

    def work():
        rank.time += left.pop(0) if len(left) > 1 else left[0]

    return work


def test_what_is_too_short_is_called_more_often_and_only_warmed_up():
    rank = Rank()
    found = rank.measure(work=taking(rank, 0.5, 0.25), warmups=0, timed=2, shortest=8.0)
    assert [r.warmup for r in found] == [True, True, False, False]
    assert [r.calls for r in found] == [1, 20, 40, 40]
    assert [r.seconds for r in found] == [0.5, 0.25, 0.25, 0.25]
    assert found[-1].own_seconds == found[-1].seconds


def test_what_is_long_enough_is_called_once():
    assert [(r.warmup, r.calls) for r in Rank().measure(warmups=0, shortest=2.0)] == 2 * [
        (False, 1)
    ]


def test_warm_ups_go_on_until_times_are_steady():
    rank = Rank()
    found = rank.measure(work=taking(rank, 9.0, 4.0, 2.0, 2.01, 2.0), warmups=1, timed=1, most=9)
    assert [r.warmup for r in found] == [True, True, True, True, True, False]
    assert [r.number for r in found] == list(range(6))


def test_warm_ups_end_at_their_most():
    rank = Rank()
    seconds = [2.0 * 1.5**n for n in range(9)]
    found = rank.measure(work=taking(rank, *seconds), warmups=1, timed=2, most=4)
    assert [r.warmup for r in found] == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [([1.0, 1.0], False), ([9.0, 1.0, 1.01, 1.0], True), ([1.0, 1.05, 1.0], False)],
)
def test_steady(seconds, expected):
    assert steady(seconds) is expected


def test_the_clock_s_step_is_the_smallest_that_was_seen(monkeypatch):
    ticks = iter([n // 3 * 2 for n in range(10_000)])
    monkeypatch.setattr(timing, "perf_counter", lambda: next(ticks))
    assert timing.clock_step() == 2


@pytest.mark.parametrize(("returned", "metrics"), [(None, {}), ({"x": 1}, {"x": 1}), (0.0, 0.0)])
def test_metrics_are_what_the_work_returned(returned, metrics):
    assert Rank().measure(work=lambda: returned)[0].metrics == metrics


@pytest.mark.parametrize("seconds", [-97.0, 0.0, float("nan"), float("inf"), 1e300, 9.0])
def test_time_that_cannot_be_is_a_clock_s_fault(seconds):
    with pytest.raises(ValueError, match=r"repetition 3 took .* s by its clock; .* the 5\.00 s"):
        check_seconds(Repetition(3, False, seconds, {}), 5.0)


def test_time_that_can_be():
    for seconds in (1e-9, 5.0, 5.5):  # the system's clock is coarse
        check_seconds(Repetition(0, False, seconds, {}), 5.0)


def test_uptime_is_no_clock_of_python(monkeypatch):
    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(f"time.{name}", lambda: -97.0)
    assert uptime() > 0


def test_now_is_utc_with_milliseconds():
    assert now().endswith("Z")
    assert datetime.fromisoformat(now()).utcoffset().total_seconds() == 0
