from __future__ import annotations

import pytest

from harness.run.schedule import PointState, launches_missing, states_of
from harness.study.points import Point
from harness.study.values import Measure
from harness.tables.records import read_stop, write_stop
from tests.harness.studies import record

WIDE = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
NARROW = [1.00, 1.01, 1.00, 1.01, 1.00, 1.01]


def state(seconds=(), **changes):
    point = Point(0, "aaaaaaaaaaaa", {"processes": 1, "threads_per_process": 1})
    return PointState(point, list(seconds), **changes)


@pytest.mark.parametrize(
    ("seconds", "measure", "stop", "expected"),
    [
        (WIDE[:2], Measure(launches=3), None, None),
        (WIDE[:3], Measure(launches=3), None, "launches"),
        (WIDE[:3], Measure(launches=3), "budget", "launches"),
        (NARROW, Measure(launches=6, precision=0.1, max_launches=9), None, "precision"),
        (NARROW, Measure(launches=6, precision=0.1, max_launches=9), "budget", "precision"),
        (NARROW[:5], Measure(launches=6, precision=0.1, max_launches=9), None, None),
        (WIDE[:6], Measure(launches=6, precision=0.1, max_launches=9), None, None),
        (WIDE[:6], Measure(launches=6, precision=0.1, max_launches=9), "budget", "budget"),
        (WIDE[:9], Measure(launches=6, precision=0.1, max_launches=9), None, "launches"),
        (WIDE[:6], Measure(launches=6, precision=0.1), None, "launches"),
        (WIDE[:5], Measure(launches=5, precision=0.9, max_launches=6), None, None),
        (WIDE[:5], Measure(launches=6, precision=0.1, max_launches=9), "budget", None),
    ],
)
def test_stopped_by(seconds, measure, stop, expected):
    assert state(seconds, stop=stop).stopped_by(measure) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (state(), "missing"),
        (state(skipped=True), "skipped"),
        (state([1.0]), "partial"),
        (state([1.0, 1.0]), "done"),
        (state(failures=[record(status="failed")]), "failed"),
        (state([1.0], failures=[record(status="timeout")]), "failed"),
        (state([1.0, 1.0], failures=[record(status="failed")]), "done"),
        (state([1.0], skipped=True), "partial"),
    ],
)
def test_state_in_a_word(given, expected):
    assert given.state(Measure(launches=2)) == expected


def test_launches_missing():
    assert launches_missing(state([1.0]), Measure(launches=3)) == 2
    assert launches_missing(state(WIDE), Measure(launches=3)) == 0


def test_only_launches_of_this_point_and_environment_count():
    point = state().point
    records = [
        record("1", seconds=0.5),
        record("2", environment="another"),
        record("3", point="another"),
        record("4", status="timeout"),
        record("5", status="skipped", repetitions=[]),
    ]
    found = states_of([point], records, "eeeeeeeeeeee")[point.id]
    assert found.launch_seconds == [0.5]
    assert [failure.launch for failure in found.failures] == ["4"]
    assert found.skipped


def test_launch_counts_with_the_median_of_its_timed_repetitions():
    launch = record()
    for seconds in (0.7, 9.0):
        launch.repetitions.append({**launch.repetitions[1], "seconds": seconds})
    found = state()
    found.add(launch)
    assert found.launch_seconds == [0.7]
    assert found.summary.n == 1


def test_stop_by_a_budget_holds_until_a_larger_one_is_given(tmp_path):
    assert read_stop(tmp_path, "e", "p", 10) is None
    write_stop(tmp_path, "e", "p", 10)
    assert read_stop(tmp_path, "e", "p", 10) == "budget"
    assert read_stop(tmp_path, "e", "p", 5) == "budget"
    assert read_stop(tmp_path, "e", "p", 11) is None
    assert read_stop(tmp_path, "e", "p", None) is None
    assert read_stop(tmp_path, "other", "p", 10) is None
