"""A small process beside each rank that tells what the rank was doing when it was killed.

A killed process says nothing, and the MPI launcher, which then kills the other ranks, knows a
signal and no batch. So every rank of a parallel run tells a process of its own, through a pipe,
what it is doing; when the pipe ends without a farewell, that process says so. Of the ranks of a
node only the first to end is told of: the launcher ended the others.

Run as a program, this file is that process; it imports nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

_FAREWELL = "farewell"
#: Longer than it takes a launcher to end the other ranks.
_LINGER_SECONDS = 2.0
_HELD = socket.socket(socket.AF_UNIX) if hasattr(socket, "AF_UNIX") else socket.socket()


class Sentinel:
    """Start it, tell it things, and say farewell: leaving the context does.

    Args:
        rank: this rank.
        run: a name that all ranks of the run share and no other run has.
    """

    def __init__(self, rank: int, run: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(rank), run],
            stdin=subprocess.PIPE,
            start_new_session=True,  # signals to the rank's group are not for it
        )

    def tell(self, doing: str) -> None:
        """Say what the rank is doing, such as ``generator, generate, batch 7``."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # without a sentinel the run goes on all the same
            os.write(self._process.stdin.fileno(), f"{doing}\n".encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """Also after an exception: a rank that raises tells of itself."""
        self.tell(_FAREWELL)
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()


def _watch(rank: str, run: str) -> None:
    doing = "nothing yet"
    for line in sys.stdin:
        doing = line.strip()
    if doing == _FAREWELL:
        return
    if not _first_of_node(run):
        return
    print(f"sparring: rank {rank} was killed in {doing}", file=sys.stderr, flush=True)
    os.close(1)  # the launcher waits until nobody holds the rank's output
    os.close(2)
    time.sleep(_LINGER_SECONDS)


def _first_of_node(run: str) -> bool:
    """Whether no other rank of this node has ended before: a name in Linux's abstract sockets.

    It is taken exactly once, and goes away by itself when its holder ends.
    """
    if not sys.platform.startswith("linux"):
        return True
    try:
        _HELD.bind(f"\0sparring-{run}")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    _watch(*sys.argv[1:])
