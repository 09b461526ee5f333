"""The command line: plan, run, submit, jobs, collect, status, compare, self-check, doctor.

A command is imported when it is called: `--help`, and each task of an array, wait for nothing else.
"""

from __future__ import annotations

import difflib
import errno
import gc
import importlib
import sys
from typing import Any

import click

from harness.errors import UserError, absent
from harness.launch.interruption import Terminated, ending_at_once
from harness.streams import complain

#: Each command's name, where it is, and the line that tells of it.
COMMANDS = {
    "plan": ("harness.commands:plan", "Show the points of STUDY, and what is done already."),
    "run": ("harness.commands:run", "Run what STUDY lacks, then write its tables."),
    "submit": ("harness.slurm.commands:submit", "Submit what STUDY lacks as Slurm job arrays."),
    "jobs": ("harness.slurm.commands:ready", "Write a cluster's settings into jobs/*.sbatch."),
    "collect": ("harness.commands:collect", "Merge launch files into STUDY's tables."),
    "status": ("harness.commands:status", "Count what is done, failed and missing, and tell why."),
    "compare": (
        "harness.comparison.command:compare_command",
        "Compare two tables, or two codes.",
    ),
    "self-check": ("harness.selfcheck.command:self_check", "Measure the harness by its own means."),
    "doctor": ("harness.commands:doctor", "Tell what this machine offers to a study."),
}

#: Modules of the optional packages that the commands import.
EXTRA = frozenset({"pydantic", "scipy", "simpleeval", "tree_sitter", "tree_sitter_toml"})


class _Group(click.Group):
    """A group whose commands end with one sentence on a user's error, never a traceback."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        gc.disable()  # what is imported stays
        try:
            with ending_at_once():
                command: click.Command = getattr(importlib.import_module(module), attribute)
        finally:
            gc.enable()
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # click suggests from the commands that it holds; ours are not imported yet.
        near = difflib.get_close_matches(args[0], COMMANDS, n=1)
        if near and args[0] not in COMMANDS and not context.resilient_parsing:
            context.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in COMMANDS.items()])

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            complain(f"error: {error}")
            sys.exit(error.exit_code)
        except ModuleNotFoundError as error:
            if (told := absent(error, EXTRA, "harness")) is None:
                raise
            complain(f"error: {told}")
            sys.exit(2)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has gone: click's to handle
                raise
            # Our own files are named (`harness.files`); nameless is what a full disk did to stdout.
            nameless = "standard output" if error.errno == errno.ENOSPC else ""
            place = error.filename or nameless
            head = f"{place}: cannot be read or written: " if place else ""
            complain(f"error: {head}{error.strerror or error}")
            sys.exit(2)
        except MemoryError:
            complain(
                "error: no memory is left; what was finished is kept, and the next run goes on"
            )
            sys.exit(2)
        except Terminated as error:
            complain("terminated; what was finished is in the tables, and the same command goes on")
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            complain(
                "interrupted; what was finished is in the tables, and the same command goes on"
            )
            sys.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure how a workload scales: a study in TOML becomes a tidy table.

    \b
    python -m harness plan STUDY.toml      what would be run, and what is done
    python -m harness run STUDY.toml       run what is not done
    python -m harness submit STUDY.toml    the same as job arrays on a Slurm cluster
    """  # noqa: D301
    import logging

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
