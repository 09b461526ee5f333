"""What Slurm knows of jobs: squeue(1), and sacct(1) where the cluster keeps accounts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from harness.submission.scheduler import Limit

#: States that a job leaves again; in all others it has ended (squeue(1), "JOB STATE CODES").
_ALIVE = {"PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "REQUEUED", "RESIZING",
          "STOPPED", "SIGNALING", "STAGE_OUT", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT",
          "RESV_DEL_HOLD"}  # fmt: skip

#: Ends that say something about what the job ran.
_LIMITS: dict[str, Limit] = {"TIMEOUT": "time", "DEADLINE": "time", "OUT_OF_MEMORY": "memory"}

_SECONDS = 60


@dataclass(frozen=True)
class JobState:
    """A job or array task as Slurm sees it.

    Attributes:
        job: its name, such as ``123`` or ``123_4``.
        state: ``PENDING``, ``RUNNING``, ``COMPLETED``, ``CANCELLED``, ``TIMEOUT`` ...
        reason: why it waits, or why it ended.
        nodes: where it runs or ran.
        start: when it started or is expected to; empty if nobody knows.
    """

    job: str
    state: str
    reason: str = ""
    nodes: str = ""
    start: str = ""

    @property
    def alive(self) -> bool:
        """Whether it may still write something."""
        return self.state in _ALIVE

    @property
    def limit(self) -> Limit:
        """Which limit ended it, if one did."""
        return _LIMITS.get(self.state, "")


def query(jobs: Iterable[str]) -> dict[str, JobState] | None:
    """The states of jobs, by job number and by array task; None if no Slurm answers here.

    Args:
        jobs: numbers (``123``) and array tasks (``123_4``). Of an array squeue forgets task by
            task (slurm.conf's MinJobAge); whichever is named here is then asked of sacct.

    Returns:
        also the other tasks of the arrays that were named, each by its name and its own number.
        Jobs that squeue has forgotten and sacct does not know (no accounts) are left out.
    """
    wanted = set(jobs)
    if not wanted:
        return {}
    told = _squeue(sorted({_array_of(job) for job in wanted}))
    if told is None:
        return None
    forgotten = sorted({_array_of(job) for job in wanted if job not in told})
    return {**_sacct(forgotten), **told} if forgotten else told


def _array_of(job: str) -> str:
    return job.partition("_")[0]


def _squeue(numbers: list[str]) -> dict[str, JobState] | None:
    form = "--format=%A|%i|%T|%r|%N|%S"
    told = _lines(["squeue", "--noheader", "--array", "--states=all", form,
                   f"--jobs={','.join(numbers)}"])  # fmt: skip
    # squeue ends with an error if it knows none of the jobs; of several it lists those it knows.
    if told is None:
        return None
    states: dict[str, JobState] = {}
    for line in told:
        number, job, state, reason, nodes, start = line.split("|")
        found = JobState(job, state, "" if reason == "None" else reason, nodes,
                         "" if start == "N/A" else start)  # fmt: skip
        states[job] = found
        states[number] = found
    return states


def _sacct(numbers: list[str]) -> dict[str, JobState]:
    # Not --array: Slurm 22.05 knows no such option, and tasks that began have lines of their own.
    told = _lines(["sacct", "--noheader", "--parsable2", "--allocations",
                   "--format=JobID,JobIDRaw,State,NodeList,Start",
                   f"--jobs={','.join(numbers)}"])  # fmt: skip
    states: dict[str, JobState] = {}
    for line in told or []:
        job, raw, state, nodes, start = line.split("|")
        words = state.split()  # "CANCELLED by 1000"
        found = JobState(job, words[0] if words else "", " ".join(words[1:]), nodes,
                         "" if start in ("Unknown", "None") else start)  # fmt: skip
        states[job] = found
        states.setdefault(raw, found)
    return states


def _lines(command: list[str]) -> list[str] | None:
    """The lines that a command printed; None if it is not there or reaches no controller."""
    # What users set to have squeue print otherwise must not change what we read.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SQUEUE_", "SACCT_"))}
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS,
            check=False, env={**kept, "SLURM_TIME_FORMAT": "standard"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    unknown = "Invalid job id" in result.stderr
    return lines if result.returncode == 0 or lines or unknown else None
