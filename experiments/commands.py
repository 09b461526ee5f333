"""A command's exit code; bad input becomes one sentence on stderr."""

from __future__ import annotations

import click

from harness.errors import UserError
from sparring.errors import SparringError, absent


def run_command(command: click.Command, name: str) -> int:
    """Run ``command`` as ``python -m NAME``; its exit code, 2 for bad input."""
    try:
        command.main(prog_name=f"python -m {name}", standalone_mode=False)
    except click.ClickException as error:
        wrong = error.format_message().replace("\n", " ").removesuffix(".")
        click.echo(f"error: {wrong}; `python -m {name} --help` tells more", err=True)
        return 2
    except (UserError, SparringError, ValueError) as error:
        click.echo(f"error: {error}", err=True)
        return 2
    except ModuleNotFoundError as error:
        if (told := absent(error)) is None:
            raise
        click.echo(f"error: {told}", err=True)
        return 2
    except OSError as error:
        place = error.filename or "output"
        click.echo(f"error: {place}: cannot be read or written: {error.strerror}", err=True)
        return 2
    except click.Abort:
        return 130
    return 0
