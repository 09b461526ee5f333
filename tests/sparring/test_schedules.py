"""Learning rate and epsilon by the number of the update."""

import pytest

from sparring.errors import SparringError
from sparring.schedules import Schedule, constant, linear_decay, triangle, warm_up


def test_a_warm_up_rises_linearly_from_its_first_update_and_stays():
    found = [warm_up(4)(n) for n in range(7)]
    assert found == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1])
    assert [warm_up(n)(0) for n in (0, 1)] == [1.0, 1.0]


def test_a_decay_begins_half_way_and_ends_at_nothing():
    schedule = linear_decay(100, warm=10)
    assert schedule(0) == pytest.approx(0.1)
    assert schedule(9) == schedule(50) == 1.0
    assert schedule(75) == pytest.approx(0.5)
    assert schedule(100) == schedule(500) == 0.0
    assert 0 < schedule(99) < 0.03  # the last update still trains


def test_a_triangle_has_its_peak_at_two_fifths():
    schedule = triangle(50)
    values = [schedule(n) for n in range(50)]
    assert max(values) == values[19] == 1.0
    assert values[0] == pytest.approx(1 / 20)
    assert values[49] == pytest.approx(1 / 31)
    assert all(v > 0 for v in values)


@pytest.mark.parametrize("updates", [1, 2, 3])
def test_short_runs_have_schedules_that_train(updates):
    for schedule in (triangle(updates), linear_decay(updates), warm_up(updates), constant()):
        assert sum(schedule(n) for n in range(updates)) > 0
        assert all(0 <= schedule(n) <= 1 for n in range(updates + 2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Schedule(()),
        lambda: Schedule(((5, 1.0), (2, 1.0))),
        lambda: Schedule(((0, -1.0),)),
        lambda: Schedule(((0, float("nan")),)),
        lambda: linear_decay(10, warm=9),
    ],
)
def test_what_is_no_schedule_is_refused(make):
    with pytest.raises(SparringError):
        make()
