"""What every rank of a launch runs: import the workload, set it up, time it, write what was seen.

Started by the runner as ``mpiexec -n p python -m harness.launch.worker SPEC``; nobody types it.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from harness import current_folder

    current_folder.leave()

import json
import os
import time
from pathlib import Path
from time import perf_counter  # our own: a workload may put another clock in its place

from harness.cpus import allowed_cpus, host_name
from harness.files import append_line
from harness.launch.binding import bind
from harness.launch.loading import load_class
from harness.launch.returned import (
    check_throughput,
    checked_details,
    checked_metrics,
    checked_report,
)
from harness.launch.segments import note
from harness.launch.sharing import meeting_of, own_seat, share_cores
from harness.launch.timing import (
    STEPS_OF_CLOCK,
    Pace,
    check_seconds,
    clock_step,
    now,
    repetitions,
    uptime,
)
from harness.streams import without_input

TYPE_CHECKING = False  # a rank imports no typing for this
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mpi4py import MPI

#: MPICH's launcher drops output that it has not forwarded when an abort reaches it
#: (`python -m experiments.protocol aborts` counts how often).
_PAUSE_SECONDS = 0.25


def error_file(output: Path, rank: int) -> Path:
    """Where a rank leaves the sentence that says why it failed."""
    return output.with_name(f"{output.name}.rank{rank}.error")


def main(spec_path: str) -> None:
    """Run one launch as its specification says; a failing rank ends all of them."""
    bind()
    without_input()
    spec = json.loads(Path(spec_path).read_text(encoding="utf-8"))
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    try:
        note(Path(spec["output"]).parent)
        _launch(comm, spec)
    except BaseException as error:
        try:
            reason = " ".join(str(error).split()) or "no message"
            error_file(Path(spec["output"]), comm.rank).write_text(
                f"rank {comm.rank}: {type(error).__name__}: {reason}",
                encoding="utf-8", errors="backslashreplace",
            )  # fmt: skip
            import traceback  # a rank that does well has no use for it

            traceback.print_exc()
            sys.stderr.flush()
            time.sleep(_PAUSE_SECONDS)
        finally:  # whatever goes wrong in telling: the other ranks must not wait for us
            comm.Abort(1)


def _launch(comm: MPI.Intracomm, spec: dict[str, Any]) -> None:
    began = uptime()
    workload = load_class(spec["workload"], spec["search_path"])()
    parameters = spec["parameters"]
    shared = share_cores(comm.allgather(own_seat()), parameters["threads_per_process"])
    wait = waiter(shared or spec["oversubscribed"])
    if comm.size != parameters["processes"]:
        raise RuntimeError(
            f"the launcher started {comm.size} ranks and {parameters['processes']} were asked for: "
            "mpiexec and the MPI library of mpi4py do not belong together"
        )
    workload.setup(comm, parameters)
    meeting = meeting_of(spec["meeting"]) if comm.rank == 0 else None
    host, started_at = _node_name(spec), ""

    def prepare(warmup: bool) -> None:
        nonlocal started_at
        if hasattr(workload, "prepare"):
            workload.prepare(warmup)
        if meeting:
            meeting.wait()
        started_at = now()

    def maximum(seconds: float) -> float:
        wait(comm.Ibarrier())  # a rank that is done early takes no core from one that works
        return float(max(comm.allgather(seconds)))

    # What prepare() puts back before a repetition, a second call would not find.
    loops = not hasattr(workload, "prepare")
    shortest = maximum(STEPS_OF_CLOCK * clock_step()) if loops else 0.0
    for repetition in repetitions(
        workload.run,
        prepare=prepare,
        pace=Pace(spec["warmups"], spec["max_warmups"], spec["repetitions"], shortest),
        clock=perf_counter,
        barrier=lambda: wait(comm.Ibarrier()),
        maximum=maximum,
    ):
        check_seconds(repetition, uptime() - began)
        metrics = checked_metrics("run()", repetition.metrics, parameters)
        if hasattr(workload, "observe"):
            observed = workload.observe(repetition.seconds)
            metrics |= checked_metrics("observe()", observed, parameters)
        if comm.rank == 0:  # its metrics become columns
            check_throughput(metrics, spec["throughput"])
        report = checked_report(workload.rank_report() if hasattr(workload, "rank_report") else {})
        details = checked_details(workload.details() if hasattr(workload, "details") else [])
        facts = {
            "rank": comm.rank,
            "host": host,
            "cpus": " ".join(map(str, allowed_cpus())) if hasattr(os, "sched_getaffinity") else "",
            "run_seconds": repetition.own_seconds,
        }
        ranks = comm.gather({**facts, **report, "rank": comm.rank})
        if comm.rank == 0:  # a later one may crash, these are measured
            finished = {
                "repetition": repetition.number,
                "warmup": repetition.warmup,
                "seconds": repetition.seconds,
                "calls": repetition.calls,
                "started_at": started_at,
                "metrics": metrics,
                "shares_cores": shared,
                "ranks": ranks,
                "details": details,
            }
            append_line(Path(spec["output"]), json.dumps(finished))
    workload.teardown()


def waiter(oversubscribed: bool) -> Callable[[MPI.Request], None]:
    """How to wait for a request: spin while each rank has a core, else test and sleep.

    MPICH spins while it waits, which takes the core from a rank that has work to do.
    """

    def sleep(request: MPI.Request) -> None:
        while not request.Test():
            time.sleep(1e-4)

    def spin(request: MPI.Request) -> None:
        request.Wait()

    return sleep if oversubscribed else spin


def _node_name(spec: dict[str, Any]) -> str:
    if not spec["allocated"]:
        return host_name()
    from harness.machine import node_name  # which asks the scheduler

    return node_name()


if __name__ == "__main__":
    main(sys.argv[1])
