"""Launches of jobs that ended without a chance to write: what became of them."""

from __future__ import annotations

from pathlib import Path

from harness.job import SCHEDULERS, current_job, owner_prefix
from harness.launch.recovery import RUNNING, Verdict, recover
from harness.submission.scheduler import JobState, query


def recover_dead_jobs(results: Path, launches: Path) -> int:
    """Turn running launches whose job has ended into launch files; leave those that may run.

    Nothing is touched where no scheduler answers: another machine cannot tell who is alive.

    Returns:
        how many launches were recovered.
    """
    return sum(_recover_dead(scheduler, results, launches) for scheduler in SCHEDULERS)


def _recover_dead(scheduler: str, results: Path, launches: Path) -> int:
    # First the folders, then the queue: a job that is over by then has written what it could.
    prefix = owner_prefix(scheduler)
    owners = {folder.name.removeprefix(prefix): folder
              for folder in (launches / RUNNING).glob(f"{prefix}*")}  # fmt: skip
    job = current_job()
    owners.pop(job.number if job else "", None)
    states = query(scheduler, owners) if owners else {}
    if states is None:
        return 0
    number = 0
    for name, folder in owners.items():
        state = states.get(name)
        if state is None or not state.alive:
            number += recover(results, folder, verdict(name, state))
    return number


def verdict(job: str, state: JobState | None) -> Verdict:
    """How the launch ended that was running when its job was ended.

    The job's end says nothing about the point, except for its limits of time and memory.
    """
    if state is None:
        return Verdict("failed", f"interrupted: job {job} is gone without a word", True)
    if state.limit == "time":
        return Verdict("timeout", f"killed at the time limit of job {state.job}")
    if state.limit == "memory":
        return Verdict("failed", f"job {state.job} ran out of memory")
    where = f" on {state.nodes}" if state.nodes else ""
    return Verdict("failed", f"interrupted: job {state.job} ended as {state.state}{where}", True)
