"""What `plan`, `status` and `doctor` tell programs: one JSON document each.

Numbers that JSON does not know, and intervals of too few launches, are null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from statistics import median
from typing import Any

import click

from harness.run.schedule import PointState, launches_missing
from harness.run.session import Session
from harness.study.values import Measure, Scalar
from harness.submission.status import Queue
from harness.tables.table import text_of


def print_document(document: object) -> None:
    """Write it on stdout."""
    click.echo(json.dumps(document, indent=1, allow_nan=False))


def of_plan(session: Session) -> dict[str, Any]:
    """A study's points, and the command that would launch each."""
    measure, launcher = session.study.measure, session.launcher
    points = [
        {
            **_point(state, measure),
            "command": launcher.command(
                state.point.processes, state.point.threads_per_process,
                ["python", "-m", "harness.launch.worker", "SPEC"], state.point.nodes,
            ),
        }
        for state in session.states().values()
    ]  # fmt: skip
    return {**_study(session), "points": points}


def of_status(
    session: Session, states: Iterable[PointState], queue: Queue | None
) -> dict[str, Any]:
    """What was measured of each point, why launches failed, and how the submissions stand."""
    measure = session.study.measure
    points = [{**_point(state, measure), **_measured(state, measure)} for state in states]
    return {
        **_study(session),
        "throughput": measure.throughput or None,
        "points": points,
        "submissions": _submissions(queue) if queue else [],
        "launches_awaited": queue.awaited if queue else 0,
    }


def _study(session: Session) -> dict[str, Any]:
    return {
        "study": session.study.name,
        "preset": session.study.preset,
        "environment": session.environment,
    }


def _point(state: PointState, measure: Measure) -> dict[str, Any]:
    return {
        "index": state.point.index,
        "point": state.point.id,
        "parameters": _json_values(state.point.parameters),
        "source": state.source,
        "state": state.state(measure),
        "launches_missing": launches_missing(state, measure),
    }


def _measured(state: PointState, measure: Measure) -> dict[str, Any]:
    summary, speedup = state.summary, state.speedup
    return {
        "launches": len(state.launch_seconds),
        "stopped_by": state.stopped_by(measure),
        "seconds": summary
        and {"median": _number(summary.median), "low": _number(summary.low),
             "high": _number(summary.high)},
        "rate": _number(median(state.rates)) if state.rates else None,
        "speedup": speedup
        and {"value": _number(speedup.value), "low": _number(speedup.low),
             "high": _number(speedup.high), "pairs": speedup.n},
        "launches_marked": dict(state.marked),
        "marks": [kind.mark for kind in state.kinds],
        "failures": [
            {"launch": record.launch, "status": record.status, "message": record.message}
            for record in state.failures
        ],
    }  # fmt: skip


def _submissions(queue: Queue) -> list[dict[str, Any]]:
    return [
        {
            "submission": submission.manifest.submission,
            "by": submission.manifest.by,
            "queue_answers": submission.queue_answers,
            "tasks": [
                {
                    "task": task.task.name, "points": list(task.point_ids), "job": task.job,
                    "state": task.state, "reason": task.reason, "alive": task.alive,
                    "start": task.start, "log": str(task.log),
                }
                for task in submission.tasks
            ],
        }
        for submission in queue.submissions
    ]  # fmt: skip


def _json_values(parameters: dict[str, Scalar]) -> dict[str, Scalar]:
    """Parameters as JSON can hold them: it has no nan and inf, which become texts as in tables."""
    return {
        name: text_of(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in parameters.items()
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
