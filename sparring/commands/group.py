"""A group of commands that ends with one sentence on a user's error, never a traceback."""

from __future__ import annotations

import errno
import sys
import time
from typing import Any

import click

from sparring.errors import SparringError, absent


class Group(click.Group):
    """Tells of bad input, absent packages and unusable files in a sentence, with exit code 2.

    Attributes:
        expected: the exceptions that bad input raises.
        interrupted: what Ctrl-C is answered with.
    """

    expected: tuple[type[Exception], ...] = (SparringError,)
    interrupted = "interrupted"

    def invoke(self, ctx: click.Context) -> Any:
        """See `click.Group`."""
        try:
            return super().invoke(ctx)
        except self.expected as error:
            self.fail(str(error))
        except ModuleNotFoundError as error:
            told = absent(error)
            if told is None:
                raise
            self.fail(told)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has gone: click's to handle
                raise
            place = error.filename or "output"
            self.fail(f"{place}: cannot be read or written: {error.strerror or error}")
        except KeyboardInterrupt:
            self.fail(self.interrupted, code=130, head="")

    def fail(self, sentence: str, code: int = 2, head: str = "error: ") -> None:
        """Say so on stderr, and end with the exit code."""
        click.echo(f"{head}{sentence}", err=True)
        sys.exit(code)


#: Longer than ranks that fail alike are apart.
_PATIENCE_SECONDS = 5.0


class RanksGroup(Group):
    """The same for commands that may run on several ranks: they end together."""

    expected = (SparringError, ValueError)

    def fail(self, sentence: str, code: int = 2, head: str = "error: ") -> None:
        """See `Group`."""
        click.echo(f"{head}{sentence}", err=True)
        _leave_together(code)
        sys.exit(code)


def _leave_together(code: int) -> None:
    """End all ranks if this one alone met an error (a file that its node lacks, for example).

    The others would wait for it for ever, and it for them in MPI's finalisation.
    """
    from mpi4py import MPI  # starts MPI, for which others may be waiting already

    if not MPI.Is_initialized() or MPI.COMM_WORLD.size == 1:
        return
    everybody, deadline = MPI.COMM_WORLD.Ibarrier(), time.monotonic() + _PATIENCE_SECONDS
    while not everybody.Test():
        if time.monotonic() > deadline:
            MPI.COMM_WORLD.Abort(code)
        time.sleep(0.01)
