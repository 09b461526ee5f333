"""What the harness itself costs: 10,000 points planned, told of and collected, and a launch.

Aims on an idle machine: plan and status under 2 s, a collection under 10 s, `--help` under 0.3 s, a
launch of two ranks at most 15 % longer than a bare mpiexec of two Pythons that start MPI: what each
further launch adds to a run, and beside it what a run of 1 and of 20 take in all. What
Python compiles it keeps, whatever PYTHONDONTWRITEBYTECODE says: else every rank would compile the
harness again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.run.session import Session
from harness.study.study import load_study
from harness.tables.records import LaunchRecord, launches_folder, record_path

POINTS = 10_000
LAUNCHES = 20
WORKLOAD = """
class Nothing:
    version = 1

    def setup(self, comm, parameters): pass

    def run(self): return {}

    def teardown(self): pass
"""
STUDY = """
name = "nothing"
workload = "nothing:Nothing"
[sweep.product]
{swept}
[measure]
launches = {launches}
repetitions = 1
warmups = 0
"""


def study_in(folder, swept, launches=1):
    (folder / "nothing.py").write_text(WORKLOAD)
    path = folder / "nothing.toml"
    path.write_text(STUDY.format(swept=swept, launches=launches))
    return path


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """A study of many points, each with a launch file."""
    folder = tmp_path_factory.mktemp("many")
    study = study_in(folder, f'x = "range(0, {POINTS})"')
    session = Session(load_study(study), folder / "results")
    launches = launches_folder(session.results, "nothing")
    launches.mkdir(parents=True)
    moment = "2026-01-01T00:00:00.000Z"
    for number, point in enumerate(session.points):
        repetition = {"repetition": 0, "warmup": False, "seconds": 0.5, "started_at": moment,
                      "metrics": {},
                      "ranks": [{"rank": 0, "host": "here", "cpus": "0"}]}  # fmt: skip
        record = LaunchRecord(
            study="nothing", point=point.id, launch=f"20260101T000000-{number:08x}", order=number,
            source="measured", workload="nothing:Nothing", workload_version="1",
            environment=session.environment, parameters=point.parameters, status="ok", message="",
            started_at=moment, repetitions=[repetition],
        )  # fmt: skip
        path = record_path(launches, point.id, record.launch)
        path.write_text(json.dumps(asdict(record)))
    return study


def compiled():
    """Our environment, but for the variable that makes every Python compile what it imports."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def harness(command, study, *options):
    program = [sys.executable, "-m", "harness", command, str(study), "--results",
               str(study.parent / "results"), *options]  # fmt: skip
    subprocess.run(program, cwd=study.parent, env=compiled(), check=True, capture_output=True)


@pytest.mark.parametrize("command", ["plan", "status"])
def test_many_points(benchmark, many, command):
    benchmark.group = f"harness, {POINTS} points"
    benchmark.pedantic(harness, (command, many), rounds=3)


def test_collect_many_launches(benchmark, many):
    def from_nothing():
        for table in (many.parent / "results").glob("nothing.*"):
            table.unlink()

    benchmark.group = f"harness, {POINTS} points"
    benchmark.pedantic(harness, ("collect", many), setup=from_nothing, rounds=3)


def test_help(benchmark):
    program = [sys.executable, "-m", "harness", "--help"]
    benchmark.group = "harness, --help"
    benchmark(subprocess.run, program, check=True, capture_output=True)


def test_launches_bare(benchmark):
    program = [str(Path(sys.executable).parent / "mpiexec"), "-n", "2", sys.executable, "-c",
               "import mpi4py.MPI"]  # fmt: skip

    def all_of_them():
        for _ in range(LAUNCHES):
            subprocess.run(program, env=compiled(), check=True, capture_output=True)

    benchmark.group = f"harness, {LAUNCHES} launches of two ranks"
    benchmark.pedantic(all_of_them, rounds=3)


@pytest.mark.parametrize("launches", [1, LAUNCHES, 1 + LAUNCHES])
def test_launches_of_the_harness(benchmark, tmp_path_factory, launches):
    """Beside the launches a run plans, asks the workload, and collects.

    What the last takes longer than the first is what so many launches cost.
    """

    def fresh():
        folder = tmp_path_factory.mktemp("launches")
        return ("run", study_in(folder, "processes = [2]", launches)), {}

    benchmark.group = f"harness, {LAUNCHES} launches of two ranks"
    benchmark.pedantic(harness, setup=fresh, rounds=3)
