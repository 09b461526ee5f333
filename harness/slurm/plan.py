"""Which array tasks a submission consists of; pure, and the same on every machine.

*replicates*: each task launches every point once, in random order, on the same nodes, so that
speed-ups compare like with like. *points*: each task measures some points to the end; tasks that
need the same resources form an array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import UserError
from harness.study.points import Point
from harness.study.values import Measure
from harness.submission.manifest import Array, By, Shape

#: What a job needs besides its launches: imports, set-up, a busy file system.
_OVERHEAD_SECONDS = 300

#: Without ``--pack``, small points share a task that lasts up to an hour by their time limits.
_TASK_SECONDS = 3600


@dataclass(frozen=True)
class Nodes:
    """What there is to plan for.

    Attributes:
        cores: physical cores of a node.
        limit_seconds: the partition's time limit, or None.
        array_size: tasks that an array may have (slurm.conf's MaxArraySize).
    """

    cores: int
    limit_seconds: int | None = None
    array_size: int = 1001

    def needed(self, point: Point, measure: Measure) -> int:
        """Nodes that a point needs, or asks for."""
        fewest = 1 if measure.oversubscribe or point.emulates else -(-point.cores // self.cores)
        return max(point.nodes, fewest)

    def ranks(self, point: Point, measure: Measure) -> int:
        """Ranks that have cores of their own: all, unless the point is oversubscribed."""
        places = self.cores * self.needed(point, measure) // point.threads_per_process
        return max(1, min(point.processes, places))


def usual_mode(points: Sequence[Point]) -> By:
    """``replicates`` if the study varies the number of cores: such are compared with each other."""
    return "replicates" if len({point.cores for point in points}) > 1 else "points"


def plan_replicates(
    points: Sequence[Point], wanted: Mapping[int, int], measure: Measure, nodes: Nodes,
    seconds: int | None,
) -> list[Array]:  # fmt: skip
    """One array: replicate r runs the points that want more than r launches.

    Args:
        points: all points of the plan.
        wanted: for each index, how many launches are wanted.
        measure: how the study measures.
        nodes: what there is to plan for.
        seconds: time limit of a task; None takes the sum of its launches' limits.
    """
    replicates = [
        tuple(index for index, number in sorted(wanted.items()) if number > replicate)
        for replicate in range(max(wanted.values(), default=0))
    ]
    if not replicates:
        return []
    chosen = [points[index] for index in replicates[0]]
    shape = Shape(
        nodes=max(nodes.needed(point, measure) for point in chosen),
        processes=max(nodes.ranks(point, measure) for point in chosen),
        threads_per_process=max(point.threads_per_process for point in chosen),
        seconds=_limit(len(chosen), measure, nodes, seconds),
    )
    return _arrays(shape, replicates, nodes)


def plan_points(
    points: Sequence[Point], wanted: Mapping[int, int], measure: Measure, nodes: Nodes,
    seconds: int | None, pack: int | None,
) -> list[Array]:  # fmt: skip
    """An array for each shape; ``pack`` points one after another in each of its tasks."""
    launches = measure.max_launches or measure.launches
    if pack is None:
        pack = max(1, int((seconds or _TASK_SECONDS) // (launches * measure.time_limit_seconds)))
    shapes: dict[Shape, list[int]] = {}
    for index, number in sorted(wanted.items()):
        if number:
            point = points[index]
            shape = Shape(
                nodes=nodes.needed(point, measure),
                processes=nodes.ranks(point, measure),
                threads_per_process=point.threads_per_process,
                seconds=0,
            )
            shapes.setdefault(shape, []).append(index)
    arrays = []
    for shape, indices in shapes.items():
        tasks = [tuple(indices[at : at + pack]) for at in range(0, len(indices), pack)]
        limit = _limit(min(pack, len(indices)) * launches, measure, nodes, seconds)
        arrays += _arrays(shape.model_copy(update={"seconds": limit}), tasks, nodes)
    return arrays


def _limit(launches: int, measure: Measure, nodes: Nodes, seconds: int | None) -> int:
    if seconds is not None:
        return seconds
    total = launches * measure.time_limit_seconds + _OVERHEAD_SECONDS
    limit = min(total, nodes.limit_seconds or total)
    if math.isinf(limit):
        raise UserError("measure.time_limit_seconds = inf: a job ends some time; expected a finite "
                        "limit, or --time with that of a task")  # fmt: skip
    return int(limit)


def _arrays(shape: Shape, tasks: Sequence[tuple[int, ...]], nodes: Nodes) -> list[Array]:
    """Arrays of one shape, none larger than the cluster allows."""
    size = nodes.array_size
    return [
        Array(shape=shape, tasks=tuple(tasks[at : at + size])) for at in range(0, len(tasks), size)
    ]
