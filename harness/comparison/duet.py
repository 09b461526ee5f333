"""Two launches at the same time on separate cores, so that what disturbs one disturbs the other.

Their repetitions begin together, and so the ratio of their times suffers less from what else the
host does than that of launches in turns (Bulej, Horky, Tuma, Farquet and Prokopec, "Duet
Benchmarking: Improving Measurement Accuracy in the Cloud", ICPE 2020). They share caches and memory
bandwidth: a code that needs much of these is slowed by its partner, and its ratio with it.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness.errors import UserError
from harness.files import read_json
from harness.launch.mortal import die_with_parent
from harness.machine import node_cores, node_count
from harness.run.launch import Company, Launch
from harness.run.session import Session
from harness.study.points import Point
from harness.tables.records import LaunchRecord, record_of, record_path


def fits(session: Session, point: Point) -> bool:
    """Whether two launches of a point have cores of their own here, and are bound to them."""
    command = session.study.command
    return (
        session.launcher.kind == "mpiexec"
        and node_count() == 1
        and point.source == "measured"
        and 2 * point.cores <= node_cores()
        and (command is None or command.launcher)
    )


@contextmanager
def companies(point: Point) -> Iterator[tuple[Company, Company]]:
    """What each of two launches must know; which of them has the first cores is left to chance."""
    with tempfile.TemporaryDirectory(prefix="harness-duet-") as place:
        pipes = str(Path(place) / "one"), str(Path(place) / "other")
        for pipe in pipes:
            os.mkfifo(pipe)
        first = random.sample((0, point.cores), 2)
        yield Company(first[0], pipes), Company(first[1], (pipes[1], pipes[0]))


def together(one: Launch, other: Launch) -> tuple[LaunchRecord, LaunchRecord]:
    """Run two launches at the same time, the second by a process of its own.

    So each adopts, and ends, the processes of its own launch only (`harness.launch.process`).

    Raises:
        UserError: if the second could not be run at all.
        KeyboardInterrupt: if the user stops them; neither leaves a file then.
    """
    process = os.fork()
    if process == 0:
        code = 1
        try:
            die_with_parent()
            _run(replace(other, heartbeat=lambda elapsed: None))
            code = 0
        finally:
            os._exit(code)
    ended = False
    try:
        first = _run(one)
        ended = True
    finally:
        if not ended:
            os.kill(process, signal.SIGINT)
        _, status = os.waitpid(process, 0)
    path = record_path(other.session.folder, other.point.id, other.record.launch)
    if not path.is_file():
        code = os.waitstatus_to_exitcode(status)
        raise UserError(
            f"{other.running.name}, one of two launches at the same time, left no file (exit code "
            f"{code}); expected one"
        )
    return first, record_of(read_json(path))


def _run(launch: Launch) -> LaunchRecord:
    """Run a launch; whatever becomes of it, the other one waits for it no longer."""
    assert launch.company is not None
    try:
        return launch.run()
    finally:
        Path(launch.company.pipes[0]).unlink(missing_ok=True)
