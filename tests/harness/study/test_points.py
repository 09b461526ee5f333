from __future__ import annotations

import pytest

from harness.errors import UserError
from harness.study.points import Point, expand, point_id, varying_parameters
from tests.harness.studies import study_of

PARAMETERS = {"processes": 2, "strategy": "pipeline", "rate": 1e-3, "overlap": True}


def combinations(points, *names):
    return [tuple(point.parameters[name] for name in names) for point in points]


def test_id_is_pinned():
    assert point_id("experiments.training:Training", PARAMETERS) == "p8de95eb36646"


def test_id_knows_no_order_and_every_change():
    reordered = dict(reversed(PARAMETERS.items()))
    ids = [
        point_id("m:W", PARAMETERS),
        point_id("m:V", PARAMETERS),
        *(
            point_id("m:W", {**PARAMETERS, **change})
            for change in (
                {"processes": 4}, {"strategy": "x"}, {"rate": 2e-3}, {"overlap": False},
                {"overlap": 1}, {"processes": 2.0}, {"more": ""},
            )
        ),
    ]  # fmt: skip
    assert point_id("m:W", reordered) == ids[0]
    assert len(set(ids)) == len(ids)


def test_product_is_every_combination(tmp_path):
    points = expand(study_of(tmp_path, "[sweep.product]\na = [1, 2]\nb = ['x', 'y']\n"))
    assert combinations(points, "a", "b") == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
    assert [point.index for point in points] == [0, 1, 2, 3]
    assert varying_parameters(points) == ["a", "b"]
    assert points[1].label(["a", "b"]) == "a=1 b=y"


def test_zip_goes_in_step_and_multiplies_with_product_and_points(tmp_path):
    text = "[sweep.zip]\na = [1, 2]\nb = [10, 20]\n[sweep.product]\nc = [0, 1]\n"
    points = expand(study_of(tmp_path, text + "[[sweep.points]]\nd = 5\n[[sweep.points]]\nd = 6\n"))
    assert combinations(points, "a", "b", "c", "d") == [
        (1, 10, 0, 5), (1, 10, 1, 5), (2, 20, 0, 5), (2, 20, 1, 5),
        (1, 10, 0, 6), (1, 10, 1, 6), (2, 20, 0, 6), (2, 20, 1, 6),
    ]  # fmt: skip


def test_explicit_points_over_parameters(tmp_path):
    text = "[parameters]\na = 0\nb = 0\n[[sweep.points]]\na = 1\n[[sweep.points]]\nb = 2\n"
    assert combinations(expand(study_of(tmp_path, text)), "a", "b") == [(1, 0), (0, 2)]


def test_where_filters_on_derived_parameters_too(tmp_path):
    text = "[sweep]\nwhere = ['steps != 4']\n[sweep.product]\nprocesses = [1, 2, 4]\n"
    points = expand(
        study_of(tmp_path, text + "[derived]\nsteps = 'processes * 2'\nmore = 'steps'\n")
    )
    assert combinations(points, "processes", "steps", "more") == [(1, 2, 2), (4, 8, 8)]


def test_doubling_sweep_knows_the_parameters_and_the_machine(tmp_path):
    text = "[parameters]\nlast = 6\n[sweep.product]\nprocesses = 'doubling(1, last)'\n"
    assert combinations(expand(study_of(tmp_path, text)), "processes") == [(1,), (2,), (4,), (6,)]
    text = "[sweep.product]\nprocesses = '[machine_cores]'\n"
    assert expand(study_of(tmp_path, text))[0].source == "measured"


def test_equal_combinations_are_one_point(tmp_path):
    text = "[sweep.product]\nprocesses = [1, 2, 1]\nx = [5, 5]\n"
    points = expand(study_of(tmp_path, text))
    assert combinations(points, "processes", "x") == [(1, 5), (2, 5)]
    assert [point.index for point in points] == [0, 1]


def test_cores_and_source(tmp_path):
    text = "[parameters]\nprocesses = 64\nthreads_per_process = 16\n"
    (point,) = expand(study_of(tmp_path, text))
    assert (point.cores, point.source) == (1024, "oversubscribed")


def test_point_has_all_launch_parameters_and_no_more(tmp_path):
    (point,) = expand(study_of(tmp_path, ""))
    assert point.parameters == {
        "processes": 1, "threads_per_process": 1, "seed": 0, "backend": "",
    }  # fmt: skip
    assert point.label([]) == point.id


def test_labels_leave_out_what_the_others_determine():
    def point(index, **parameters):
        return Point(index, f"p{index}", {"processes": 2, "seed": 0, **parameters})

    points = [
        point(0, strategy="pipeline", variant="study", send="synchronous", updates=20),
        point(1, strategy="pipeline", variant="modern", send="buffered", updates=20),
        point(2, strategy="sharded", variant="sharded", send="synchronous", updates=20),
    ]
    assert varying_parameters(points) == ["strategy", "variant"]
    assert points[1].label(varying_parameters(points)) == "strategy=pipeline variant=modern"
    sizes = [point(n, size=n, steps=2 * n, definition=d) for n in (1, 2) for d in ("a", "b")]
    assert set(varying_parameters(sizes)) in ({"size", "definition"}, {"steps", "definition"})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("['1.1', 1.1]", "'a': '1.1' and 1.1 look the same in tables and figures"),
        ("[1, '1']", "'a': 1 and '1' look the same in tables and figures"),
        ("['true', true]", "'a': 'true' and True look the same in tables and figures"),
    ],
)
def test_values_that_tables_cannot_tell_apart(tmp_path, values, told):
    with pytest.raises(UserError, match=r"study\.toml:4: ") as caught:
        expand(study_of(tmp_path, f"[sweep.product]\na = {values}\n"))
    assert told in str(caught.value)
