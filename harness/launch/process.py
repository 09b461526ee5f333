"""Run a command with a time limit, and leave no process of it behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.launch.mortal import LIBC, start_mortal

#: Environment variable that marks every process of a launch, to find those that lost their parents.
MARK = "HARNESS_LAUNCH"

_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK")
#: To look for a launch's ranks takes some milliseconds of a core that may be measuring.
_ASK_SECONDS = 5.0
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37


@dataclass(frozen=True)
class Outcome:
    """How a command ended: ``exit_code`` (negative: a signal), ``timed_out``, ``given_up``."""

    exit_code: int
    timed_out: bool
    given_up: bool = False


def run(
    command: list[str],
    variables: dict[str, str],
    mark: str,
    log: Path,
    limit_seconds: float,
    heartbeat: Callable[[float], None] = lambda elapsed: None,
    grace_seconds: float = 0.0,
    lost: Callable[[int], bool] = lambda pid: False,
    dying: Callable[[int], object] = lambda pid: None,
    adopted: Callable[[int], object] = lambda pid: None,
) -> Outcome:
    """Run a command, its output in ``log``; kill all its processes at the limit or on an error.

    Args:
        command: the command line.
        variables: environment variables on top of ours.
        mark: value of the environment variable `MARK` in every process of the command.
        log: file that takes standard output and standard error.
        limit_seconds: time after which everything is killed.
        heartbeat: called about ten times a second with the seconds since the start.
        grace_seconds: between SIGTERM and SIGKILL; srun needs it to end ranks on other nodes, which
            no signal of ours reaches.
        lost: asked now and then with the command's process whether it waits for what will never
            come; where it says so twice in a row, everything is killed.
        dying: told of each process of the command that is about to be killed.
        adopted: told of each process of the command that lost its parent and came to us.
    """
    started = asked = time.monotonic()
    doubts, code = 0, None
    with log.open("wb") as output, adopting() as adopts:
        known = _children()
        process = start_mortal(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables, MARK: mark},
        )
        try:
            while True:
                elapsed = time.monotonic() - started
                if elapsed >= limit_seconds:
                    return Outcome(-signal.SIGKILL, timed_out=True)
                heartbeat(elapsed)
                came = _children() - known - {process.pid}
                known |= came
                for orphan in came:
                    adopted(orphan)
                if time.monotonic() - asked >= _ASK_SECONDS:
                    asked, doubts = time.monotonic(), doubts + 1 if lost(process.pid) else 0
                    if doubts == 2:
                        return Outcome(-signal.SIGKILL, timed_out=False, given_up=True)
                code = wait(process, min(0.1, limit_seconds - elapsed))
                if code is not None:
                    return Outcome(code, timed_out=False)
        finally:
            if grace_seconds and process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(grace_seconds)
            if code != 0:
                for victim in _marked({mark}):
                    dying(victim.pid)
            # Whoever is left of a command that has ended well is our child by now, and is ended as
            # such, without a look at the environment of every process.
            if code != 0 or not adopts:
                kill_tree(process, mark)


def wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit code as soon as there is one; None if there is none after so many seconds.

    By the process's file descriptor (pidfd_open(2)): `Popen.wait` looks every 50 ms, which many a
    launch would take longer for.
    """
    try:
        number = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # no Linux, an old one, or no descriptor is left
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(seconds)
        return None
    try:
        ended = select.poll()
        ended.register(number, select.POLLIN)
        ended.poll(max(0.0, seconds) * 1000)
    finally:
        os.close(number)
    return process.poll()


@contextlib.contextmanager
def adopting() -> Iterator[bool]:
    """Be the parent of every process below us that loses its own, and end those that are left.

    A daemon that has a session of its own and an empty environment is found by nothing else
    (prctl(2), PR_SET_CHILD_SUBREAPER). Children that we had before are none of them; those that are
    started inside are to have ended when it does.

    Gives whether the system lets us.
    """
    if LIBC is None:
        yield False
        return
    was, before = ctypes.c_int(), _children(by_all_means=True)
    LIBC.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(was))
    adopts = LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1) == 0
    try:
        yield adopts
    finally:
        for _ in range(5):  # whoever is born, or comes to us, while we look
            left = []
            for pid in _children(by_all_means=True) - before:
                with contextlib.suppress(psutil.Error):
                    left.append(psutil.Process(pid))
            if not left:
                break
            _kill([process for child in left for process in [child, *_below(child)]])
            for child in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, os.WNOHANG)
        LIBC.prctl(_PR_SET_CHILD_SUBREAPER, was.value)


def _children(*, by_all_means: bool = False) -> set[int]:
    """Our children, as the system lists them (proc(5)), which takes microseconds; else nothing.

    By all means: else from a look at all processes, which takes milliseconds.
    """
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123 (often asked)
            return set(map(int, file.read().split()))
    except OSError:  # no Linux, or one without CONFIG_PROC_CHILDREN
        return {child.pid for child in psutil.Process().children()} if by_all_means else set()


def kill_with_descendants(process: psutil.Process) -> None:
    """Kill a process and all below it."""
    _kill([process, *_below(process)])


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def kill_tree(process: subprocess.Popen[bytes], mark: str) -> None:
    """Kill a command, its descendants, and every process that carries its mark."""
    victims: list[psutil.Process] = []
    if process.poll() is None:  # else its number may be another process's by now
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            victims = [parent, *parent.children(recursive=True)]
    _kill(victims)
    process.wait()
    kill_marked({mark})


def kill_marked(marks: set[str]) -> None:
    """Kill every process that carries one of these marks, also those born while we look."""
    for _ in range(5):
        victims = _marked(marks)
        if not victims:
            return
        _kill(victims)


def _marked(marks: set[str]) -> list[psutil.Process]:
    found = []
    for pid in psutil.pids():
        # Processes of other users hide their environment, and ours may end while we look.
        with contextlib.suppress(psutil.Error, OSError):
            if pid != os.getpid() and _mark_of(pid) in marks:
                found.append(psutil.Process(pid))
    return found


def _mark_of(pid: int) -> str | None:
    """The mark in a process's environment, which is bytes that end in NUL (proc(5))."""
    if sys.platform != "linux":
        return psutil.Process(pid).environ().get(MARK)
    start = f"{MARK}=".encode()
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next((os.fsdecode(w[len(start) :]) for w in words if w.startswith(start)), None)


def living_ranks(pid: int, word: str) -> list[str]:
    """The MPI rank of each process below one that lives and has a word on its command line.

    Empty text where its environment does not tell; a launcher's variables do (`_RANKS`).
    """
    found = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error, OSError):
                if word in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                    told = child.environ()
                    found.append(next((told[name] for name in _RANKS if name in told), ""))
    return found


def _kill(victims: list[psutil.Process]) -> None:
    for victim in victims:
        with contextlib.suppress(psutil.Error):
            victim.kill()
    # Until they are dead; to reap those that lost their parents is for init, in its own time.
    end = time.monotonic() + 10
    while any(_runs(victim) for victim in victims) and time.monotonic() < end:
        time.sleep(0.01)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
