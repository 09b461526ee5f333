"""Which arrays a submission consists of: pure planning."""

from __future__ import annotations

import math

import pytest

from harness.errors import UserError
from harness.machine import planned_for
from harness.slurm.plan import Nodes, plan_points, plan_replicates, usual_mode
from harness.study.points import expand
from harness.study.values import Measure
from harness.submission.manifest import Shape
from tests.harness.studies import study_of

MEASURE = Measure(launches=6, time_limit_seconds=100)


def points_of(tmp_path, sweep):
    with planned_for(8):
        return expand(study_of(tmp_path, sweep))


def scaling(tmp_path):
    return points_of(tmp_path, "[sweep.product]\nprocesses = [1, 2, 4, 8]\n")


def test_usual_mode_follows_the_cores(tmp_path):
    assert usual_mode(scaling(tmp_path)) == "replicates"
    assert usual_mode(points_of(tmp_path, "[sweep.product]\nx = [1, 2]\n")) == "points"


def test_a_replicate_holds_every_point_that_wants_another_launch(tmp_path):
    (array,) = plan_replicates(scaling(tmp_path), {0: 3, 1: 1, 2: 0, 3: 3}, MEASURE, Nodes(8), None)
    assert array.tasks == ((0, 1, 3), (0, 3), (0, 3))
    assert array.shape == Shape(nodes=1, processes=8, threads_per_process=1, seconds=600)
    assert plan_replicates(scaling(tmp_path), {0: 0}, MEASURE, Nodes(8), None) == []


@pytest.mark.parametrize(("cores", "nodes"), [(8, 1), (7, 2), (4, 2), (3, 3)])
def test_as_many_nodes_as_the_largest_point_needs(tmp_path, cores, nodes):
    (array,) = plan_replicates(scaling(tmp_path), {0: 1, 3: 1}, MEASURE, Nodes(cores), None)
    assert array.shape.nodes == nodes
    many = MEASURE.model_copy(update={"oversubscribe": True})
    (array,) = plan_replicates(scaling(tmp_path), {0: 1, 3: 1}, many, Nodes(cores), None)
    assert array.shape.nodes == 1
    assert array.shape.processes == min(8, cores), "ranks that have cores of their own"


def test_nodes_that_a_point_asks_for(tmp_path):
    points = points_of(tmp_path, "[sweep.product]\nprocesses = [2]\nnodes = [1, 2]\n")
    arrays = plan_points(points, {0: 1, 1: 1}, MEASURE, Nodes(8), None, None)
    assert [array.shape.nodes for array in arrays] == [1, 2]


def test_an_array_for_each_shape_and_packed_points(tmp_path):
    points = points_of(tmp_path, "[sweep.product]\nx = [1, 2, 3]\nprocesses = [1, 2]\n")
    wanted = dict.fromkeys(range(6), 6)
    narrow, wide = plan_points(points, wanted, MEASURE, Nodes(8), None, 2)
    assert (narrow.shape.processes, wide.shape.processes) == (1, 2)
    assert narrow.tasks == ((0, 2), (4,))
    assert wide.tasks == ((1, 3), (5,))
    assert narrow.shape.seconds == 2 * 6 * 100 + 300


@pytest.mark.parametrize(("limit", "packed"), [(100, 6), (10, 60), (10000, 1)])
def test_small_points_fill_an_hour(tmp_path, limit, packed):
    points = points_of(tmp_path, "[sweep.product]\nx = 'range(0, 200)'\n")
    measure = Measure(launches=6, time_limit_seconds=limit)
    (array,) = plan_points(points, dict.fromkeys(range(200), 6), measure, Nodes(8), None, None)
    assert len(array.tasks[0]) == packed
    assert sum(map(len, array.tasks)) == 200


def test_limits_of_the_partition_and_of_arrays(tmp_path):
    nodes = Nodes(8, limit_seconds=700, array_size=2)
    arrays = plan_replicates(scaling(tmp_path), dict.fromkeys(range(4), 5), MEASURE, nodes, None)
    assert [len(array.tasks) for array in arrays] == [2, 2, 1]
    assert {array.shape.seconds for array in arrays} == {700}
    (array,) = plan_replicates(scaling(tmp_path), {0: 1}, MEASURE, nodes, 9000)
    assert array.shape.seconds == 9000, "what the user states is for Slurm to judge"


def test_launches_without_a_time_limit_need_one_of_the_task(tmp_path):
    measure = MEASURE.model_copy(update={"time_limit_seconds": math.inf})
    points, wanted = scaling(tmp_path), {0: 1}
    for plan in (plan_replicates, lambda *given: plan_points(*given, None)):
        with pytest.raises(UserError, match=r"time_limit_seconds = inf: .* or --time"):
            plan(points, wanted, measure, Nodes(8), None)
        assert plan(points, wanted, measure, Nodes(8), 90)[0].shape.seconds == 90
        assert plan(points, wanted, measure, Nodes(8, 500), None)[0].shape.seconds == 500
