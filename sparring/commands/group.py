"""A group of commands that ends with one sentence on a user's error, never a traceback."""

from __future__ import annotations

import errno
import io
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
    """The same for commands that may run on several ranks: they end together.

    What all ranks have to say, such as of an option that does not exist, is said once.
    """

    expected = (SparringError, ValueError)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:  # fmt: skip
        """See `click.Group`: the group's own options are read here."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.ClickException as error:
            _end(_shown(error), error.exit_code)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """See `Group`: the commands' options are read here."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            _end(_shown(error), error.exit_code)
            raise

    def fail(self, sentence: str, code: int = 2, head: str = "error: ") -> None:
        """See `Group`."""
        _end(f"{head}{sentence}\n", code)
        super().fail(sentence, code, head)


def _shown(error: click.ClickException) -> str:
    """What click would print."""
    text = io.StringIO()
    error.show(file=text)
    return text.getvalue()


def _end(text: str, code: int) -> None:
    """On several ranks, say so and end them all; returns where this process is alone.

    If all ranks met an error, the first one tells of each that differs. If this one alone did (a
    file that its node lacks, for example), the others would wait for it for ever, and it for them
    in MPI's finalisation: it tells, and aborts them.
    """
    try:
        from mpi4py import MPI  # starts MPI, for which others may be waiting already
    except (ImportError, RuntimeError):  # no MPI library, of which an option's name is no reason
        return
    if not MPI.Is_initialized() or MPI.COMM_WORLD.size == 1:
        return
    everybody, deadline = MPI.COMM_WORLD.Ibarrier(), time.monotonic() + _PATIENCE_SECONDS
    while not everybody.Test():
        if time.monotonic() > deadline:
            click.echo(text, err=True, nl=False)
            MPI.COMM_WORLD.Abort(code)
        time.sleep(0.01)
    for told in dict.fromkeys(MPI.COMM_WORLD.gather(text) or ()):
        click.echo(told, err=True, nl=False)
    sys.exit(code)
