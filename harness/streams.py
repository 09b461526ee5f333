"""Standard streams: those that the caller has closed, and the input of ranks."""

from __future__ import annotations

import contextlib
import os
import sys


def open_streams() -> None:
    """Put the null device in the place of every closed standard stream.

    Else Python has None for it, and the next file that is opened takes its number: what a library
    or a child process then says on it would end in that file.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the smallest free number, which is this one
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def complain(text: str) -> None:
    """Tell on standard error; where that is full or closed, exit codes tell enough."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def without_input() -> None:
    """Let standard input be empty.

    MPICH's launcher gives each rank a pipe that it closes for the first one only: another rank that
    reads would wait for ever.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
