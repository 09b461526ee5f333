"""The commands for clusters: submit, jobs."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import Any, cast

import click

from harness.errors import UserError
from harness.options import settings, study_named, study_options
from harness.slurm.ready import write_site_blocks
from harness.slurm.site import limit_seconds, read_site
from harness.slurm.submit import Prepared, Wish, check, command_of, hand_over, prepare
from harness.submission.manifest import By

_site_option = click.option(
    "--site", type=click.Path(path_type=Path), metavar="FILE",
    help="The cluster's settings [default: jobs/site.toml, if it is there].",
)  # fmt: skip


@click.command()
@study_options
@_site_option
@click.option(
    "--by",
    type=click.Choice(["replicates", "points"]),
    help="One task launches every point once, or measures some points to the end; "
    "default is replicates where the number of cores varies.",
)
@click.option(
    "--replicates",
    type=click.IntRange(min=1),
    help="Launches of every point, instead of the study's number.",
)
@click.option(
    "--pack",
    type=click.IntRange(min=1),
    help="With --by points: so many points in a task, one "
    "after another; default fills an hour by their time limits.",
)
@click.option(
    "--time",
    "time",
    metavar="TIME",
    help="Time limit of a task, as sbatch takes it; default is "
    "the site's, else the sum of the launches' limits.",
)
@click.option("--throttle", type=click.IntRange(min=1), help="So many tasks may run at once.")
@click.option(
    "--then",
    multiple=True,
    metavar="COMMAND",
    help="Shell command after the collection, such as one that draws a figure.",
)
@click.option(
    "--retry",
    is_flag=True,
    help="Also points that failed or were killed at a limit; what is done never is.",
)
@click.option("--resubmit", is_flag=True, hidden=True)  # as it was called before
@click.option("--dry-run", is_flag=True, help="Print what would be submitted; write nothing.")
def submit(
    site: Path | None,
    by: str | None,
    replicates: int | None,
    pack: int | None,
    time: str | None,
    throttle: int | None,
    then: tuple[str, ...],
    retry: bool,
    resubmit: bool,
    dry_run: bool,
    results: Path,
    **named: Any,
) -> None:
    """Submit what STUDY lacks as Slurm job arrays, and a job that collects after them.

    What is done, waits or runs already is not submitted again; points that failed only with
    --retry. A manifest below results/submissions fixes what each array task does.
    """  # fmt: skip
    study = study_named(**named)
    place = read_site(site)
    if throttle:
        place = place.model_copy(update={"throttle": throttle})
    limit = time or place.time
    wish = Wish(
        by=cast("By | None", by),
        replicates=replicates,
        pack=pack,
        seconds=limit_seconds(limit, "--time") if limit else None,
        retry=retry or resubmit,
        then=then,
    )
    overrides = settings(named["overrides"], named["oversubscribe"], named["emulate"])
    prepared = prepare(study, results, overrides, place, wish)
    if replicates and prepared.manifest.by == "points":
        raise UserError("--replicates: expected --by replicates with it; by points the study's "
                        "measure.launches counts")  # fmt: skip
    if pack and prepared.manifest.by == "replicates":
        raise UserError("--pack: expected --by points with it; a replicate holds every point")
    _tell(prepared)
    if not prepared.scripts:
        return
    if dry_run:
        _print_scripts(prepared)
        check(prepared)  # after them: what is printed does not hang on data that are elsewhere
        return
    check(prepared)
    jobs = hand_over(prepared, results)
    click.echo(f"manifest: {prepared.folder / 'manifest.json'}")
    for key, job in jobs.items():
        click.echo(f"submitted job {job}: {'collect' if key == 'collect' else f'array {key}'}")
    click.echo(f"harness status {named['study']} tells how it stands")


@click.command("jobs")
@_site_option
@click.argument("folder", type=click.Path(path_type=Path), default=Path("jobs"))
def ready(site: Path | None, folder: Path) -> None:
    """Write the cluster's settings into the ready job scripts of FOLDER (jobs).

    In every FOLDER/*.sbatch the lines between "# site: begin" and "# site: end" are replaced by
    what the site's TOML file says: partition, account, modules. Then `sbatch` the script.
    """
    for path, changed in write_site_blocks(folder, read_site(site)):
        click.echo(f"{path}: {'written' if changed else 'as it was'}")


def _tell(prepared: Prepared) -> None:
    manifest, nodes = prepared.manifest, prepared.nodes
    waiting = f"; {prepared.in_flight} points wait or run already" if prepared.in_flight else ""
    if not manifest.arrays:
        click.echo(f"{manifest.study}: nothing to submit{waiting}")
        return
    tasks = sum(len(array.tasks) for array in manifest.arrays)
    launches = sum(len(task) for array in manifest.arrays for task in array.tasks)
    unit = "launches" if manifest.by == "replicates" else "points"
    click.echo(
        f"{manifest.study}, preset {manifest.preset or '(none)'}: {len(manifest.points)} points by "
        f"{manifest.by}: {len(manifest.arrays)} arrays, {tasks} tasks, {launches} {unit}, on nodes "
        f"of {nodes.cores} cores{waiting}"
    )
    for number, array in enumerate(manifest.arrays):
        shape = array.shape
        sizes = Counter(len(task) for task in array.tasks)
        held = ", ".join(f"{times} of {size} {unit}" for size, times in sorted(sizes.items()))
        click.echo(
            f"  array {number}: {len(array.tasks)} tasks ({held}); nodes {shape.nodes}, processes "
            f"up to {shape.processes}, threads {shape.threads_per_process}, "
            f"{shape.seconds / 3600:.2f} h"
        )


def _print_scripts(prepared: Prepared) -> None:
    jobs: list[str] = []
    for name, text in prepared.scripts.items():
        path = prepared.folder / name
        click.echo(f"\n$ {shlex.join(command_of(name, path, jobs))}    # {path}:")
        click.echo(text, nl=False)
        jobs.append(f"<job of {name.removesuffix('.sbatch')}>")
