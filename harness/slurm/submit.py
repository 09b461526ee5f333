"""Submit what a study lacks: plan it, fix it in a manifest, hand it to sbatch(1)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.files import write_whole
from harness.launch.preflight import check_points
from harness.launch.timing import now
from harness.machine import node_cores, planned_for
from harness.run.schedule import PointState, launches_missing
from harness.run.session import Session
from harness.slurm.partition import find_partition
from harness.slurm.plan import Nodes, plan_points, plan_replicates, usual_mode
from harness.slurm.script import array_script, collect_script
from harness.slurm.site import Site
from harness.study.study import Study
from harness.study.values import Measure
from harness.submission.manifest import (
    By,
    Manifest,
    folder_of,
    manifest_path,
    planned_points,
    read_manifests,
    results_of,
    write_manifest,
)
from harness.submission.submissions import in_flight, read_submissions, write_jobs
from harness.tables import records


@dataclass(frozen=True)
class Wish:
    """What the command line asks of a submission.

    Attributes:
        by: ``replicates`` or ``points``; None chooses by the study.
        replicates: launches of every point, instead of the study's number.
        pack: points a task, one after another; None fills an hour.
        seconds: time limit of a task; None takes the site's or the sum of the launches' limits.
        retry: also points that failed or were killed at a limit.
        then: shell commands after the collection, such as one that draws a figure.
    """

    by: By | None = None
    replicates: int | None = None
    pack: int | None = None
    seconds: int | None = None
    retry: bool = False
    then: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A submission, ready to be handed over: the manifest and the text of each script, by name."""

    study: Study
    manifest: Manifest
    folder: Path
    scripts: dict[str, str]
    nodes: Nodes
    in_flight: int


def prepare(
    study: Study, results: Path, overrides: Sequence[str], site: Site, wish: Wish
) -> Prepared:
    """Plan what the study lacks and nobody in the queue will deliver.

    Raises:
        UserError: if the study cannot be run.
    """
    nodes = _nodes(site)
    with planned_for(nodes.cores):
        session = Session(study, results)
    session.look_elsewhere()
    measure = study.measure
    if wish.replicates:
        measure = measure.model_copy(update={"launches": wish.replicates, "max_launches": None,
                                             "precision": None})  # fmt: skip
    manifests = read_manifests(session.results, study.name)
    awaited = in_flight(
        read_submissions(session.results, manifests), records.read_records(session.folder)
    )
    wanted = {}
    for state in session.states().values():
        number = _wanted(state, measure, wish.retry)
        expected = awaited.get(state.point.id, 0)
        wanted[state.point.index] = 0 if expected is None else max(0, number - expected)
    by = wish.by or usual_mode(session.points)
    if by == "replicates":
        arrays = plan_replicates(session.points, wanted, measure, nodes, wish.seconds)
    else:
        arrays = plan_points(session.points, wanted, measure, nodes, wish.seconds, wish.pack)
    manifest = Manifest(
        submission=records.new_identity(),
        study=study.name,
        preset=study.preset,
        overrides=tuple(overrides),
        study_file=study.source.path.resolve(),
        study_text=study.source.text,
        working_folder=Path.cwd(),
        by=by,
        code=session.code.code,
        created_at=now(),
        points=planned_points(session.points),
        arrays=tuple(arrays),
    )
    folder = folder_of(session.results, manifest)
    scripts = {
        f"array-{number}.sbatch": array_script(manifest, number, folder, site)
        for number in range(len(arrays))
    }
    if arrays:
        scripts["collect.sbatch"] = collect_script(manifest, folder, site, wish.then)
    return Prepared(study, manifest, folder, scripts, nodes, len(awaited))


def check(prepared: Prepared) -> None:
    """Ask the workload whether it can run what would be submitted.

    Raises:
        UserError: if it cannot.
    """
    arrays, points = prepared.manifest.arrays, prepared.manifest.planned()
    chosen = {point for array in arrays for task in array.tasks for point in task}
    results = results_of(prepared.folder / "manifest.json")
    check_points(prepared.study, [points[index] for index in sorted(chosen)], results)


def command_of(name: str, path: Path, jobs: Sequence[str]) -> list[str]:
    """The command line that hands a script over; the collection waits for all arrays to end."""
    waits = [f"--dependency=afterany:{':'.join(jobs)}"] if name == "collect.sbatch" else []
    return ["sbatch", "--parsable", *waits, str(path)]


def hand_over(prepared: Prepared, results: Path) -> dict[str, str]:
    """Write the submission's files and give its scripts to sbatch.

    Returns:
        the job numbers: ``0``, ``1`` ... of the arrays and ``collect``.

    Raises:
        UserError: if there is no sbatch, or it refuses; what it took before stays submitted.
    """
    if shutil.which("sbatch") is None:
        raise UserError("no sbatch on PATH; expected to be on a cluster (--dry-run works anywhere)")
    folder, manifest = prepared.folder, prepared.manifest
    write_manifest(manifest_path(results.resolve(), manifest.study, manifest.submission), manifest)
    (folder / "logs").mkdir()
    for name, text in prepared.scripts.items():
        write_whole(folder / name, text)
    jobs: dict[str, str] = {}
    for name in prepared.scripts:
        key = "collect" if name == "collect.sbatch" else str(len(jobs))
        jobs[key] = _sbatch(command_of(name, folder / name, list(jobs.values())), jobs)
        write_jobs(folder, jobs)
    return jobs


def _sbatch(command: list[str], before: dict[str, str]) -> str:
    # From inside a job, sbatch would take that job's settings for its own (sbatch(1)).
    inner = re.compile(r"SLURM_(?!CONF$)|SBATCH_(?!PARTITION$|ACCOUNT$|QOS$|CONSTRAINT$)")
    variables = {k: v for k, v in os.environ.items() if not inner.match(k)}
    result = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, env=variables
    )
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        reason = " ".join(line.removeprefix("sbatch: ").removeprefix("error: ") for line in lines)
        told = f"; submitted before it: {', '.join(before.values())}" if before else ""
        raise UserError(f"sbatch refuses {Path(command[-1]).name}: {reason}{told}")
    return result.stdout.strip().splitlines()[-1].split(";")[0]


def _wanted(state: PointState, measure: Measure, retry: bool) -> int:
    """Launches that a point lacks; a failed one lacks some only if it is asked for again."""
    if state.stopped_by(measure) or (state.failures and not retry):
        return 0
    ended_well = len(state.launch_seconds)
    return launches_missing(state, measure) or (measure.max_launches or ended_well) - ended_well


def _nodes(site: Site) -> Nodes:
    """What the cluster's nodes are like; without a Slurm that tells, this machine's."""
    partition = find_partition(site)
    told = partition.cores_per_node if partition else node_cores()
    return Nodes(
        cores=site.cores_per_node or told,
        limit_seconds=partition.limit_seconds if partition else None,
        # Where no controller answers, to ask it again would only wait for it again.
        array_size=_array_size() if partition else Nodes.array_size,
    )


def _array_size() -> int:
    try:
        told = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True,
                              timeout=60, check=False).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        told = ""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", told, re.MULTILINE)
    return int(found[1]) if found else Nodes.array_size
