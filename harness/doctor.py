"""What this machine offers to a study, and what would disturb one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness import machine
from harness.errors import UserError
from harness.job import SCHEDULERS, current_job, part
from harness.launch.launcher import THREAD_VARIABLES, find_launcher
from harness.launch.process import run
from harness.launch.recovery import last_words
from harness.launch.segments import lacking_room


@dataclass(frozen=True)
class Finding:
    """One fact: ``ok``, ``note`` (measuring works, but know this) or ``fault`` (it does not)."""

    level: str
    subject: str
    text: str


def examine() -> Iterator[Finding]:
    """Look at cores, MPI, scheduler, noise, counters and tools, one finding each."""
    cores = machine.cores()
    sockets = len({core.socket for core in cores})
    smt = max(len(core.cpus) for core in cores)
    yield Finding(
        "ok", "cores",
        f"{machine.machine_cores()} usable ({machine.cpu_model()}, {sockets} socket"
        f"{'s' if sockets > 1 else ''}, {smt} hardware thread{'s' if smt > 1 else ''} a core)",
    )  # fmt: skip
    yield Finding("ok", "vectors", ", ".join(machine.vector_extensions()) or "none known")
    yield Finding("ok", "memory", f"{machine.memory_bytes() / 2**30:.1f} GiB")
    yield from _mpi()
    yield from _schedulers()
    yield _governor()
    yield _load()
    set_here = [name for name in THREAD_VARIABLES if name in os.environ]
    yield Finding(
        "ok", "threads",
        "set for every rank by the harness"
        + (f" (over your {', '.join(set_here)})" if set_here else ""),
    )  # fmt: skip
    yield _counters()
    for tool, use in (
        ("likwid-topology", "topology and bandwidth by LIKWID"),
        ("valgrind", "cache simulation"),
        ("c++", "building fused kernels"),
    ):
        found = shutil.which(tool)
        yield Finding("ok" if found else "note", tool, f"{'found' if found else 'absent'}: {use}")


def _mpi() -> Iterator[Finding]:
    try:
        launcher = find_launcher()
    except UserError as error:
        yield Finding("fault", "mpi", str(error))
        return
    yield Finding("ok", "mpi", f"{launcher.library}, started by {launcher.kind}")
    if launcher.flavour == "mpich":
        lacking = lacking_room(machine.node_cores())
        yield Finding("fault" if lacking else "ok", "shared memory", lacking or "enough for MPI")
    # By exit codes: what two ranks print may arrive in pieces of one another.
    code = "import sys; from mpi4py import MPI; sys.exit(MPI.COMM_WORLD.allreduce(1) != 2)"
    program = [sys.executable, "-c", code]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        variables = launcher.variables(2, 1)
        outcome = run(launcher.command(2, 1, program), variables, "doctor", log, limit_seconds=60)
        told = last_words(log)
    if outcome.exit_code == 0:
        yield Finding("ok", "two ranks", "started and reduced")
    else:
        yield Finding(
            "fault", "two ranks",
            f"did not start as one job (exit code {outcome.exit_code}): {told[-200:]}",
        )  # fmt: skip


def _schedulers() -> Iterator[Finding]:
    job = current_job()
    for name in SCHEDULERS:
        if job and job.scheduler == name:
            yield Finding("ok", name, f"inside job {job.number}")
        else:
            submits = part(name, "job").SUBMITS
            yield Finding("ok", name, f"{submits} found" if shutil.which(submits) else "absent")


def _governor() -> Finding:
    governor = machine.governor()
    if governor is None:
        return Finding("note", "governor", "hidden, as in virtual machines: clocks may vary")
    level = "ok" if governor == "performance" else "note"
    return Finding(level, "governor", governor)


def _load() -> Finding:
    load = psutil.getloadavg()[0]
    busy = load > 0.5
    text = f"load average {load:.2f}" + ("; other work will disturb timings" if busy else "")
    return Finding("note" if busy else "ok", "load", text)


def _counters() -> Finding:
    path = Path("/proc/sys/kernel/perf_event_paranoid")
    try:
        paranoid = int(path.read_text())
    except (OSError, ValueError):
        return Finding("note", "counters", "the kernel offers no performance events")
    perf = shutil.which("perf")
    if perf is None:
        level = "may" if paranoid <= 2 or os.geteuid() == 0 else "may not"
        return Finding("note", "counters", f"perf_event_paranoid is {paranoid}: you {level} count")
    result = subprocess.run(
        [perf, "stat", "-x,", "-e", "instructions", "true"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    counted = result.returncode == 0 and "not supported" not in result.stderr
    return Finding(
        "ok" if counted else "note", "counters", "counted" if counted else "not supported here"
    )
