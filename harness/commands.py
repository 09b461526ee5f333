"""What the commands do: plan, run, collect, status, compare, doctor (`harness.cli` finds them)."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import click

from harness.doctor import examine
from harness.documents import of_plan, of_status, print_document
from harness.errors import UserError
from harness.noise.marks import settings_of_host
from harness.options import (
    json_option,
    manifest_option,
    open_session,
    open_submitted,
    settings,
    study_named,
    study_options,
)
from harness.run.progress import reporter
from harness.run.runner import run as run_session
from harness.run.schedule import launches_missing
from harness.run.tasks import adopt, run_task
from harness.submission.manifest import By, results_of
from harness.submission.status import print_submissions, queue_of
from harness.tables.table import rows_path
from harness.views import print_disturbances, print_failures, print_states, summarize


@click.command()
@study_options
@json_option
def plan(as_json: bool, **options: Any) -> None:
    """Show the points of STUDY, how each would be launched, and what is done already."""
    session = open_session(**options)
    if as_json:
        print_document(of_plan(session))
        return
    states, measure = session.states().values(), session.study.measure
    launcher = session.launcher
    missing = sum(launches_missing(state, measure) for state in states)
    click.echo(
        f"{session.study.name}, preset {session.study.preset or '(none)'}: "
        f"{len(session.points)} points, {missing} launches missing under environment "
        f"{session.environment}; started by {launcher.kind} ({launcher.library})"
    )
    print_states(list(states), measure)


@click.command()
@study_options
@click.option("--index", type=int, help="Only this point of the plan, or this array task.")
@click.option("--retry", is_flag=True, help="Launch points again that failed.")
@click.option("--by", type=click.Choice(["points", "replicates"]), default="points",
              show_default=True, help="In a Slurm array: whether INDEX names a point, or a "
              "replicate, which launches every point once.")  # fmt: skip
@manifest_option
@click.option("--array", type=int, default=0, help="Which array of the manifest INDEX belongs to.")
def run(
    index: int | None, retry: bool, by: str, manifest: Path | None, array: int, **options: Any
) -> None:
    """Run what STUDY lacks, then write its tables.

    Every launch leaves a file as soon as it ends, so a run that is stopped at any moment goes on
    where it was. Exit code 1 if a point failed: its row tells why and names a log; also if this
    machine can hold none of the points, so that nothing was measured.

    A task of a Slurm array (--index $SLURM_ARRAY_TASK_ID, or --manifest with it) leaves launch
    files only; `collect` merges them into the tables.
    """
    if manifest is None:
        manifest = _adopted(cast("By", by), index, retry, **options)
    elif options["study"] is not None:
        raise UserError("--manifest and a study are named; expected one of them")
    if manifest is not None:
        if index is None:
            raise UserError("--manifest: expected --index with it, the number of the array task")
        told = run_task(manifest, array, index, reporter())
        results = results_of(manifest)
        summarize(told, "`collect` writes the tables", results)
        return
    session = open_session(**options)
    told = run_session(session, reporter(), index=index, retry=retry)
    print_states(told.states, told.measure)
    print_disturbances(told.states, settings_of_host())
    table = rows_path(session.results, session.study.name)
    summarize(told, f"table: {table}", session.results)


def _adopted(by: By, index: int | None, retry: bool, results: Path, **named: Any) -> Path | None:
    """The manifest that a task writes of an array that `submit` did not make; None elsewhere."""
    study = study_named(**named) if index is not None else None
    chosen = settings(named["overrides"], named["oversubscribe"], named["emulate"])
    found = adopt(study, chosen, results, by, index, retry) if study and index is not None else None
    if found is None and by == "replicates":
        raise UserError(
            "--by replicates: expected --index and a task of a Slurm job array "
            "(sbatch --array=0-5); elsewhere `run` without --by launches every point"
        )
    return found


@click.command()
@study_options
@manifest_option
def collect(**options: Any) -> None:
    """Merge launch files into STUDY's tables; `run` does this by itself."""
    session = open_submitted(**options)
    collected = session.collect()
    path = rows_path(session.results, session.study.name)
    click.echo(f"{path}: {collected.rows} rows, {collected.added} of them new")


@click.command()
@study_options
@manifest_option
@json_option
def status(as_json: bool, **options: Any) -> None:
    """Count what is done, failed and missing, tell why points failed, and what the queue holds."""
    session = open_submitted(**options)
    states = list(session.states().values())
    submissions = queue_of(session.results, session.study.name, session.folder)
    if as_json:
        print_document(of_status(session, states, submissions))
        return
    print_states(states, session.study.measure, submissions.by_point if submissions else None)
    print_failures(states, session.results)
    print_disturbances(states)
    if submissions:
        print_submissions(submissions)


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Tell what this machine offers to a study, and what would disturb one.

    Exit code 1 if something is missing without which nothing can be measured.
    """
    findings = list(examine())
    if as_json:
        print_document([asdict(finding) for finding in findings])
    for finding in [] if as_json else findings:
        click.echo(f"{finding.level:5}  {finding.subject}: {finding.text}")
    if any(finding.level == "fault" for finding in findings):
        sys.exit(1)
