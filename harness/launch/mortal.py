"""Processes that die with us, however we are killed."""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import signal
import subprocess
import sys
from functools import cache
from typing import Any

_PR_SET_PDEATHSIG = 1
# Loaded here and not in the forked child, where the loader's lock may be held by another thread.
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def start_mortal(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; Linux kills it when we die.

    The child asks for that (`die_with_parent`). Where setpriv(1) can ask in its stead, it is begun
    by vfork(2): a fork copies our page tables, and then each page that we write to.

    Args:
        command: the command line.
        options: those of `subprocess.Popen`.

    Raises:
        OSError: if it cannot be started; a program that is not there may also end with 127.
    """
    if words := _setpriv():
        return subprocess.Popen([*words, *command], start_new_session=True, **options)
    return subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent, **options)


@cache
def _setpriv() -> tuple[str, ...]:
    """What stands before a command that shall die with us; nothing where there is no such program.

    That of util-linux has the option since 2.33; others, such as BusyBox's, lack it.
    """
    if LIBC is None or (program := shutil.which("setpriv")) is None:
        return ()
    words = (program, "--pdeathsig", "KILL", "--")
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        tried = subprocess.run(
            [*words, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False
        )
        if tried.returncode == 0:
            return words
    return ()


def die_with_parent() -> None:
    """Ask Linux to kill this process when the runner dies, even of ``kill -9`` (prctl(2)).

    The MPI launcher then takes its ranks with it, so that no orphan disturbs later measurements.
    """
    if LIBC is not None:
        LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
