"""What squeue and sacct print, as the states of jobs; stubs stand in for both programs.

The lines of sacct are those of Slurm 22.05 with slurmdbd for tasks that ended well, failed, were
cancelled, ran and waited; the other ends are put into the same form.
"""

from __future__ import annotations

import pytest

from harness.slurm.queue import query

#: Task 2 of an array that runs; squeue has forgotten the others (slurm.conf, MinJobAge).
SQUEUE = "45|43_2|RUNNING|None|two|2026-11-22T22:06:15"
#: The same array in the accounts, with each end that a task can have.
SACCT = """\
43_0|43|COMPLETED|one|2026-11-22T22:00:01
43_1|44|CANCELLED by 0|one|2026-11-22T22:00:02
43_2|45|RUNNING|two|2026-11-22T22:06:15
43_3|46|TIMEOUT|two|2026-11-22T22:01:01
43_4|47|NODE_FAIL|one|2026-11-22T22:02:01
43_5|48|OUT_OF_MEMORY|one|2026-11-22T22:03:01
43_6|49|PREEMPTED|one|2026-11-22T22:04:01
43_7|50|FAILED|one|2026-11-22T22:05:01
43_[8-9]|43|PENDING|None assigned|Unknown
"""
NO_CONTROLLER = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
NO_ACCOUNTS = "Slurm accounting storage is disabled"
NO_SUCH_JOB = "slurm_load_jobs error: Invalid job id specified"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Installs programs that print and say something, note their arguments, and end with a code."""

    def install(name, printed="", told="", code=0):
        (tmp_path / f"{name}.out").write_text(printed)
        lines = [
            "#!/bin/sh",
            f'echo "$@" >> {tmp_path}/{name}.asked',
            # An option that not every sacct knows ends it, as it does the real one.
            f'[ {name} = squeue ] || case "$*" in *--array*) exit 1;; esac',
            f"cat {tmp_path}/{name}.out",
            '[ -z "$SQUEUE_FORMAT$SACCT_FORMAT" ] || echo nonsense',
            f"echo '{told}' >&2",
            f"exit {code}",
        ]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        (tmp_path / name).chmod(0o755)

    def asked(name):
        path = tmp_path / f"{name}.asked"
        return path.read_text().splitlines() if path.exists() else []

    install("sacct", told=NO_ACCOUNTS, code=1)
    install.asked = asked
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return install


def test_what_squeue_has_forgotten_the_accounts_tell(slurm, monkeypatch):
    monkeypatch.setenv("SQUEUE_FORMAT", "%i")
    monkeypatch.setenv("SACCT_FORMAT", "jobid")
    slurm("squeue", SQUEUE)
    slurm("sacct", SACCT)
    states = query([f"43_{task}" for task in range(7)])
    assert states is not None
    assert {job: state.state for job, state in states.items() if "_" in job} == {
        "43_0": "COMPLETED", "43_1": "CANCELLED", "43_2": "RUNNING", "43_3": "TIMEOUT",
        "43_4": "NODE_FAIL", "43_5": "OUT_OF_MEMORY", "43_6": "PREEMPTED", "43_7": "FAILED",
        "43_[8-9]": "PENDING",
    }  # fmt: skip
    assert {state.job for state in states.values() if state.alive} == {"43_2", "43_[8-9]"}
    assert states["43_1"].reason == "by 0"
    assert (states["47"].job, states["47"].nodes) == ("43_4", "one")
    assert [line.split("--jobs=")[1] for line in slurm.asked("squeue")] == ["43"]
    assert [line.split("--jobs=")[1] for line in slurm.asked("sacct")] == ["43"]


def test_who_is_in_the_queue_is_not_asked_for_again(slurm):
    slurm("squeue", SQUEUE)
    states = query(["43_2"])
    assert states is not None
    assert states["45"] == states["43_2"]
    assert states["43_2"].start == "2026-11-22T22:06:15"
    assert slurm.asked("sacct") == []


def test_without_accounts_the_forgotten_are_left_out(slurm):
    slurm("squeue", SQUEUE)
    states = query(["43_0", "43_2"])
    assert states is not None
    assert "43_0" not in states
    assert states["43_2"].alive
    slurm("squeue", told=NO_SUCH_JOB, code=1)
    assert query(["43_0"]) == {}
    assert len(slurm.asked("sacct")) == 2


def test_no_controller_is_not_an_empty_queue(slurm):
    slurm("squeue", told=NO_CONTROLLER, code=1)
    assert query(["43"]) is None
    assert query([]) == {}
