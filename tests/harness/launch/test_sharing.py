"""Which launches shared cores: decided by the seats that ranks report."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread

import pytest

from harness.launch.sharing import Meeting, Seat, meeting_of, own_seat, share_cores
from harness.machine import node_cores
from tests.harness.studies import harness, rows_of_table, write_study


def seat(host, *cores, limit=None):
    return Seat(host, frozenset((0, core) for core in cores), limit)


@pytest.mark.parametrize(
    ("seats", "threads", "shared"),
    [
        ([seat("a", 0), seat("a", 1)], 1, False),
        ([seat("a", 0, 1), seat("a", 0, 1)], 1, False),  # unbound, but there is room
        ([seat("a", 0), seat("a", 0)], 1, True),
        ([seat("a", 0, 1)] * 4, 1, True),
        ([seat("a", 0, 1)] * 2 + [seat("b", 0, 1)] * 2, 1, False),
        ([seat("a", 0, 1)] * 2, 2, True),
        ([seat("a", 0, 1), seat("a", 2, 3)], 2, False),
        ([seat("a", 0, 1, 2, 3, limit=1.5)] * 2, 1, True),
        ([seat("a", 0, limit=0.5)], 1, False),  # a machine has one core at least
    ],
)
def test_more_threads_than_cores_on_some_host(seats, threads, shared):
    assert share_cores(seats, threads) is shared


def test_seat_of_this_process_has_cores():
    assert len(own_seat().cores) >= node_cores()


@pytest.mark.parametrize(("more", "source"), [(1, "oversubscribed"), (0, "measured")])
def test_variables_of_another_job_do_not_make_a_launch_measured(tmp_path, more, source):
    """Two nodes in the environment, one host that runs."""
    study = write_study(tmp_path, "[parameters]\nmode = 'good'\n[measure]\nlaunches = 1\n")
    cores = node_cores()
    result = harness(
        "run", study, "--results", "r", "--set", f"processes={cores + more}", cwd=tmp_path,
        SLURM_JOB_ID="7", SLURM_JOB_NUM_NODES="2", HARNESS_MPI="mpiexec",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert {row["source"] for row in rows_of_table(tmp_path / "r")} == {source}
    assert source in result.stdout


@pytest.fixture
def pipes(tmp_path):
    paths = [str(tmp_path / name) for name in ("one", "other")]
    for path in paths:
        os.mkfifo(path)
    return paths


def test_launches_meet_and_neither_goes_on_alone(pipes):
    one, other = Meeting(*pipes), Meeting(*reversed(pipes))
    passed = []
    waiting = Thread(target=lambda: [one.wait(), passed.append("one"), one.wait()])
    waiting.start()
    other.wait()  # returns: the first one has come, or comes
    waiting.join(0.2)
    assert waiting.is_alive()  # it waits for the second meeting
    assert passed == ["one"]
    other.wait()
    waiting.join(60)
    assert not waiting.is_alive()


def test_nobody_waits_for_a_launch_that_has_ended(pipes):
    one = Meeting(*pipes)
    Path(pipes[1]).unlink()
    one.wait()
    Meeting(*pipes).wait()
    assert meeting_of([]) is None
