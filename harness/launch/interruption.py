"""Signals that announce the end, a scheduler's and a closing terminal's, as exceptions."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType

#: After so long an exception that Python forgot is raised again.
_AGAIN_SECONDS = 0.01


class Terminated(KeyboardInterrupt):
    """SIGTERM: a scheduler's grace before the end, used to write what is finished."""

    status = "failed"
    reason = "interrupted by SIGTERM (preempted, requeued or cancelled)"
    #: Of the program that it ends, as a shell has it: 128 and the signal's number.
    exit_code = 143


class TimeLimit(Terminated):
    """SIGUSR1: the job's time limit is near (``sbatch --signal=B:USR1@...``)."""

    status = "timeout"
    reason = "killed at the time limit of the job"


class HungUp(Terminated):
    """SIGHUP: the terminal was closed, or its connection lost."""

    reason = "interrupted by SIGHUP (its terminal was closed)"
    exit_code = 129


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Turn those signals into exceptions, so that finished launches reach the tables.

    SIGHUP stays ignored where it is, as after ``nohup``.

    Python forgets an exception that meets a callback, such as one of ``import``, and goes on as if
    no signal had come. It is raised again a moment later then, until it meets the program itself.
    """
    forgotten: list[BaseException] = []
    told_before = sys.unraisablehook

    def unraisable(told: sys.UnraisableHookArgs) -> None:
        if not isinstance(told.exc_value, KeyboardInterrupt):
            told_before(told)
            return
        forgotten.append(told.exc_value)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)

    def again(number: int, frame: FrameType | None) -> None:
        if forgotten:
            raise forgotten.pop()

    def terminate(number: int, frame: FrameType | None) -> None:
        for other in handled:  # what we do now is to be finished; SIGKILL ends us if it takes long
            signal.signal(other, signal.SIG_IGN)
        raise handled[number]

    handled: dict[int, type[Terminated]] = {signal.SIGTERM: Terminated, signal.SIGUSR1: TimeLimit}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handled[signal.SIGHUP] = HungUp
    before = {number: signal.signal(number, terminate) for number in handled}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, again)
    sys.unraisablehook = unraisable
    try:
        yield
    finally:
        sys.unraisablehook = told_before
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """Let Ctrl-C end us without a word, while nothing has begun yet.

    Python's own answer, an exception, is printed and forgotten where it meets a callback of
    ``import``, and the program goes on as if nobody had pressed it.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Hold signals back while a result is put in a safe place; they come right afterwards."""
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
