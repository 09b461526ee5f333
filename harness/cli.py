"""The command line: plan, run, collect, status, compare, doctor."""

from __future__ import annotations

import errno
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from harness.compare import compare as compare_tables
from harness.doctor import examine
from harness.errors import UserError
from harness.points import varying_parameters
from harness.progress import reporter
from harness.runner import Session, Terminated
from harness.runner import run as run_session
from harness.schedule import PointState, launches_missing
from harness.study import load_study
from harness.tables import rows_path

Command = TypeVar("Command", bound=Callable[..., Any])


class _Group(click.Group):
    """A group whose commands end with one sentence on a user's error, never a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has gone: click's to handle
                raise
            place = f"{error.filename}: " if error.filename else ""
            click.echo(f"error: {place}{error.strerror or error}", err=True)
            sys.exit(2)
        except Terminated:
            click.echo("terminated; what was finished is in the tables", err=True)
            sys.exit(143)
        except KeyboardInterrupt:
            click.echo("interrupted; what was finished is in the tables", err=True)
            sys.exit(130)


def _study_options(command: Command) -> Command:
    """The options that choose a study, its size and its results."""
    for decorate in (
        click.option("--results", "results", type=click.Path(path_type=Path, file_okay=False),
                     default=Path("results"), show_default=True,
                     help="Folder of the tables and launch files."),
        click.option("--oversubscribe", is_flag=True,
                     help="Run points with more processes than cores, marked as such."),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
                     help="Set a parameter (a list, as in --set 'processes=[1, 2]', becomes a "
                          "sweep), or a setting of [measure], as in measure.launches=10."),
        click.option("--preset", help="Which of the study's presets; default is the study's own."),
        click.argument("study", type=click.Path(path_type=Path)),
    ):  # fmt: skip
        command = decorate(command)
    return command


def _open(
    study: Path, preset: str | None, overrides: tuple[str, ...], oversubscribe: bool, results: Path
) -> Session:
    if oversubscribe:
        overrides = (*overrides, "measure.oversubscribe=true")
    return Session(load_study(study, preset or None, overrides), results)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    r"""Measure how a workload scales: a study in TOML becomes a tidy table.

    \b
    python -m harness plan STUDY.toml      what would be run, and what is done
    python -m harness run STUDY.toml       run what is not done
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")


@main.command()
@_study_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def plan(as_json: bool, **options: Any) -> None:
    """Show the points of STUDY, how each would be launched, and what is done already."""
    session = _open(**options)
    states = session.states().values()
    measure, launcher = session.study.measure, session.launcher
    if as_json:
        points = [
            {
                "index": state.point.index,
                "point": state.point.id,
                "parameters": state.point.parameters,
                "source": state.point.source,
                "state": state.state(measure),
                "launches_missing": launches_missing(state, measure),
                "command": launcher.command(
                    state.point.processes, state.point.threads_per_process,
                    ["python", "-m", "harness.worker", "SPEC"],
                ),
            }
            for state in states
        ]  # fmt: skip
        document = {
            "study": session.study.name,
            "preset": session.study.preset,
            "environment": session.environment,
            "points": points,
        }
        click.echo(json.dumps(document, indent=1))
        return
    missing = sum(launches_missing(state, measure) for state in states)
    click.echo(
        f"{session.study.name}, preset {session.study.preset or '(none)'}: "
        f"{len(session.points)} points, {missing} launches missing under environment "
        f"{session.environment}; started by {launcher.kind} ({launcher.library})"
    )
    _print_states(session, list(states))


@main.command()
@_study_options
@click.option("--index", type=int, help="Only this point of the plan (array tasks).")
@click.option("--retry", is_flag=True, help="Launch points again that failed.")
def run(index: int | None, retry: bool, **options: Any) -> None:
    """Run what STUDY lacks, then write its tables.

    Every launch leaves a file as soon as it ends, so a run that is stopped at any moment goes on
    where it was. Exit code 1 if a point failed: its row tells why and names a log.
    """
    session = _open(**options)
    launches = run_session(session, reporter(), index=index, retry=retry)
    states = list(session.states().values())
    _print_states(session, states)
    _summarize(session, states, launches)


@main.command()
@_study_options
def collect(**options: Any) -> None:
    """Merge launch files into STUDY's tables; `run` does this by itself."""
    session = _open(**options)
    collected = session.collect()
    path = rows_path(session.results, session.study.name)
    click.echo(f"{path}: {collected.rows} rows, {collected.added} of them new")


@main.command()
@_study_options
def status(**options: Any) -> None:
    """Count what is done, failed and missing, and tell why points failed."""
    session = _open(**options)
    states = list(session.states().values())
    _print_states(session, states)
    for state in states:
        for record in state.failures:
            click.echo(f"{record.status}: {state.point.id}: {record.message}")


@main.command("compare")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
def compare_command(first: Path, second: Path) -> None:
    """Put two tables side by side, point by point, with a Mann-Whitney test on launches."""
    table = Table("point", "first / s", "second / s", "second / first", "n", "p", box=None)
    for row in compare_tables(first, second):
        p_value = "n too small" if row.p_value is None else f"{row.p_value:.3g}"
        table.add_row(
            row.point, f"{row.first.median:.4g}", f"{row.second.median:.4g}", f"{row.ratio:.3f}",
            f"{row.first.n}, {row.second.n}", p_value,
        )  # fmt: skip
    _console().print(table)


@main.command()
def doctor() -> None:
    """Tell what this machine offers to a study, and what would disturb one."""
    findings = list(examine())
    for finding in findings:
        click.echo(f"{finding.level:5}  {finding.subject}: {finding.text}")
    if any(finding.level == "fault" for finding in findings):
        sys.exit(1)


def _console() -> Console:
    """As wide as the terminal; in a log, wide enough for a table."""
    width = None if sys.stdout.isatty() else 160
    return Console(width=width, markup=False, emoji=False)  # brackets in cells are no markup


def _print_states(session: Session, states: list[PointState]) -> None:
    varying = varying_parameters(session.points)
    table = Table(box=None, pad_edge=False)
    for name in ("#", "point", *varying):
        table.add_column(name)
    for name in ("state", "n", "median / s", "95 % interval / s", "stopped by", "source"):
        table.add_column(name)
    for state in states:
        summary = state.summary
        if summary is None:
            timing = ["0", "", ""]
        elif summary.low is None or summary.high is None:
            timing = [str(summary.n), f"{summary.median:.4g}", "n too small"]
        else:
            timing = [
                str(summary.n),
                f"{summary.median:.4g}",
                f"{summary.low:.4g} to {summary.high:.4g}",
            ]
        table.add_row(
            str(state.point.index),
            state.point.id,
            *(str(state.point.parameters.get(name, "")) for name in varying),
            state.state(session.study.measure),
            *timing,
            state.stopped_by(session.study.measure) or "",
            state.point.source,
        )
    _console().print(table)


def _summarize(session: Session, states: list[PointState], launches: int) -> None:
    """Say in a line how the study stands; end with 1 if a point failed."""
    counts: dict[str, int] = {}
    for state in states:
        name = state.state(session.study.measure)
        counts[name] = counts.get(name, 0) + 1
    told = ", ".join(f"{number} {name}" for name, number in counts.items())
    click.echo(
        f"{launches} launches run; {len(states)} points: {told}; "
        f"table: {rows_path(session.results, session.study.name)}"
    )
    failed = [state for state in states if state.state(session.study.measure) == "failed"]
    for state in failed:
        click.echo(f"failed: {state.point.id}: {state.failures[-1].message}", err=True)
    if failed:
        click.echo(f"{len(failed)} points failed; --retry launches them again", err=True)
        sys.exit(1)
