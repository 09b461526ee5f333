from __future__ import annotations

import pytest

from harness.run.launches import Ran
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
        (state(skipped="too few cores"), "skipped"),
        (state([1.0]), "partial"),
        (state([1.0, 1.0]), "done"),
        (state(failures=[record(status="failed")]), "failed"),
        (state([1.0], failures=[record(status="timeout")]), "failed"),
        (state([1.0, 1.0], failures=[record(status="failed")]), "done"),
        (state([1.0], skipped="too few cores"), "partial"),
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


def test_points_are_compared_with_the_baseline_that_agrees_in_all_else():
    def point(index, **parameters):
        shared = {"processes": 1, "threads_per_process": 1}
        return Point(index, f"p{index}", {**shared, **parameters})

    points = [
        point(0, strategy="sequential", steps=7, variant=""),
        point(1, strategy="sequential", steps=32, variant=""),
        point(2, strategy="pipeline", steps=32, variant="groups", processes=4),
        point(3, strategy="pipeline", steps=15, variant=""),
    ]
    states = states_of(points, [], "e", {"strategy": "sequential"})
    found = [s.baseline.point.index if s.baseline else None for s in states.values()]
    assert found == [None, None, 1, None]
    assert not any(s.baseline for s in states_of(points, [], "e").values())


def pair(base_rounds, own_rounds):
    base, own = state(list(base_rounds.values())), state(list(own_rounds.values()))
    base.rounds, own.rounds, own.baseline = base_rounds, own_rounds, base
    base.dependents.append(own)
    return base, own


def test_precision_is_that_of_the_ratio_where_a_baseline_is_named():
    """Times that wander by 9, in pairs that agree: the medians would never be told so well."""
    wide = {f"r{i}": second for i, second in enumerate(WIDE)}
    measure = Measure(launches=6, precision=0.02, max_launches=20)
    base, own = pair(wide, {name: second / 2 for name, second in wide.items()})
    assert state(WIDE).stopped_by(measure) is None
    assert (base.stopped_by(measure), own.stopped_by(measure)) == ("precision", "precision")
    noisy = {name: second * (1 + 0.1 * (i % 3)) for i, (name, second) in enumerate(wide.items())}
    base, own = pair(wide, noisy)
    assert (base.stopped_by(measure), own.stopped_by(measure)) == (None, None)
    own.failures.append(record(status="failed"))  # nobody waits for it any more
    assert base.stopped_by(Measure(launches=6, max_launches=9, precision=0.02)) == "launches"


def test_launches_that_are_of_no_round_are_judged_by_their_median():
    measure = Measure(launches=6, precision=0.1, max_launches=9)
    base, own = pair({}, {})
    base.launch_seconds, own.launch_seconds = NARROW, NARROW
    assert own.stopped_by(measure) == "precision"


def test_points_are_compared_by_a_rate_where_the_study_names_one():
    """Twice the work in the same time is a speed-up of 2."""
    points = [
        Point(n, f"p{n}", {"processes": n + 1, "threads_per_process": 1, "kind": kind})
        for n, kind in enumerate(("base", "other"))
    ]
    records = []
    for r in range(6):
        for n, point in enumerate(points):
            launch = record(f"{n}-{r}", point=point.id, round=f"r{r}")
            for repetition in launch.repetitions:
                repetition["metrics"] = {"rate": 10.0 * (n + 1)}
            records.append(launch)
    found = states_of(points, records, "eeeeeeeeeeee", {"kind": "base"}, "rate")["p1"]
    assert found.speedup.value == pytest.approx(2.0)
    assert found.rates == [20.0] * 6
    assert found.summary.median == 0.5
    missing = states_of(points, records, "eeeeeeeeeeee", {"kind": "base"}, "absent")["p1"]
    assert missing.speedup is None
    assert states_of(points, records, "eeeeeeeeeeee", {"kind": "base"})["p1"].speedup.value == 1.0


def test_a_run_is_well_where_it_could_measure_some_of_its_points():
    one = PointState(Point(0, "a", {}), [0.5])
    other = PointState(Point(1, "b", {}), skipped="needs 99 cores")
    ran = [
        Ran(0, [one, other], Measure(launches=1), frozenset(asked)) for asked in ("ab", "a", "b")
    ]
    assert [each.measured_nothing for each in ran] == [False, False, True]
