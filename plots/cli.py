"""The command line of plots: a command for each declared plot, and the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.errors import UserError, did_you_mean
from harness.tables.table import write_whole
from plots import registry
from plots.report.page import page as report_page
from plots.shared import files, style
from plots.shared.plot import EXISTING, FOLDER, Plot


class Declared(click.Group):
    """Has the commands of all declared plots beside its own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Plots by name, then the report."""
        return [*(plot.name for plot in registry.declared()), *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A plot's, or one of its own."""
        named = (plot for plot in registry.declared() if plot.name == cmd_name)
        return next(map(command, named), None) or super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; of a mistyped name, the nearest (click knows only its own commands)."""
        known = self.list_commands(ctx)
        if args[0] not in known and not ctx.resilient_parsing:
            if args[0].endswith(".csv") or Path(args[0]).is_dir():
                if not Path(args[0]).exists():
                    ctx.fail(f"{args[0]}: no such table; run the study first")
                told = registry.drawn_by(Path(args[0])) or "no plot is for such a table"
                ctx.fail(f"{args[0]} is no command; {told}")
            ctx.fail(f"No such command {args[0]!r}{did_you_mean(args[0], known) or '.'}")
        return super().resolve_command(ctx, args)


@click.group(cls=Declared, context_settings={"help_option_names": ["-h", "--help"]})
def plots() -> None:
    """Figures, fits and a report from the tables of measurements in CSV.

    Of a table that you hold, `python -m plots TABLE.csv` tells the command that draws it, and
    `python -m plots report FOLDER` makes one page of all tables in a folder.

    Nothing is measured here: every command reads CSV files and can be repeated at any time, on any
    machine. Equal tables give equal files, byte for byte.
    """


def command(plot: Plot) -> click.Command:
    """The command of a plot: read, print, write the figures and further tables."""

    def run(
        csv: Path, out: Path | None, formats: tuple[str, ...], width: str, **chosen: Any
    ) -> None:
        try:
            study = plot.read(csv, **chosen)
        except UserError as error:
            raise _redirected(error, csv, plot) from None
        folder = out or csv.parent / "figures"
        written = plot.save(study, folder, csv.stem, formats, style.WIDTHS[width])
        for extra in plot.extras:
            written.append((out or csv.parent if extra.beside else folder)
                           / f"{csv.stem}.{extra.suffix}.csv")  # fmt: skip
            write_whole(written[-1], extra.text(study))
        click.echo(plot.describe(study))
        if written:
            click.echo("\n" + "\n".join(f"wrote {path}" for path in written))

    return click.Command(
        plot.name,
        callback=run,
        help=plot.help,
        params=[
            click.Argument(["csv"], type=EXISTING),
            click.Option(["--out"], type=FOLDER,
                         help="Folder for the figures [default: figures next to CSV]."),
            click.Option(["--format", "formats"], type=click.Choice(files.FORMATS), multiple=True,
                         help="Of the figures' files; may be given several times [default: "
                         f"{', '.join(plot.formats)}]."),
            click.Option(["--width"], type=click.Choice([*style.WIDTHS]), default="two",
                         show_default=True,
                         help="Of the figures: one column of a journal's page "
                         f"({style.ONE:g} inches) or two ({style.TWO:g} inches)."),
            *plot.options,
        ],
    )  # fmt: skip


def _redirected(error: UserError, csv: Path, plot: Plot) -> UserError:
    """The same error; of a table that another plot is for, also that plot's command."""
    if plot.name in registry.names_for(csv) or not (others := registry.drawn_by(csv)):
        return error
    return UserError(f"{error}; {others}")


@plots.command("report")
@click.argument("results", type=EXISTING)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path),
              help="The page [default: report.html in RESULTS].")  # fmt: skip
def report_command(results: Path, out: Path | None) -> None:
    """Make one self-contained HTML page from all tables in the folder RESULTS.

    It begins with what was run and what was found. Figures stand in the page as SVG, with their
    tables folded beneath; studies that are missing are named with the command that makes them. It
    needs no network, and shows everything but the charts to choose from without scripts. A table
    that no plot is for is a link.

    \b
    Example:
      python -m plots report results
    """  # noqa: D301  (click reads the escape)
    place = out or results / "report.html"
    html, skipped = report_page(results, place)
    write_whole(place, html)
    for reason in skipped:
        click.echo(f"not drawn: {reason}")
    click.echo(f"wrote {place}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; bad input becomes one sentence on stderr.

    Returns:
        0 on success, 2 on bad input.
    """
    try:
        plots.main(args=arguments, prog_name="python -m plots", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        told = error.format_message().replace("\n", " ")
        if isinstance(error, click.UsageError) and error.ctx:
            told = f"{told.removesuffix('.')}; `{error.ctx.command_path} --help` tells more"
        click.echo(f"error: {told}", err=True)
        return 2
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except OSError as error:
        place = error.filename or "output"
        click.echo(f"error: {place}: cannot be read or written: {error.strerror}", err=True)
        return 2
    except click.Abort:
        return 130
    return 0
