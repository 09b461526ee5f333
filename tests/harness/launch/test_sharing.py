"""Which launches shared cores: decided by the seats that ranks report."""

from __future__ import annotations

import pytest

from harness.launch.sharing import Seat, own_seat, share_cores
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
