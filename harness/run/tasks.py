"""One task of a submission, as a job script starts it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from harness.job import current_job
from harness.launch.timing import now
from harness.run.launches import Ran
from harness.run.progress import Reporter
from harness.run.runner import run
from harness.run.session import Session, submitted_session
from harness.study.study import Study
from harness.submission.manifest import (
    ADOPTED,
    Array,
    By,
    Manifest,
    Shape,
    folder_of,
    manifest_path,
    planned_points,
    read_manifest,
    results_of,
    task_of,
    write_manifest,
)
from harness.submission.notes import noting
from harness.submission.submissions import write_jobs

log = logging.getLogger(__name__)


def run_task(path: Path, array: int, index: int, reporter: Reporter) -> Ran:
    """Run what a task of a manifest still has to do; requeued, it goes on where it was.

    Raises:
        UserError: if there is no such manifest or task, or the study cannot be run.
    """
    manifest = read_manifest(path)
    task = task_of(path, manifest, array, index)
    session = submitted_session(manifest, results_of(path))
    if session.code.code != manifest.code:
        log.warning("the workload's code has changed since the submission: what is measured now "
                    "stands under another environment")  # fmt: skip
    with noting(folder_of(session.results, manifest), task, current_job()):
        return run(session, reporter, task=task)


def adopt(
    study: Study, settings: Sequence[str], results: Path, by: By, index: int, retry: bool
) -> Path | None:
    """The manifest of an array that was not made by `submit`: its first task to come writes it.

    Args:
        study: the study.
        settings: the ``key=value`` settings that it was opened with.
        results: folder of the tables.
        by: what INDEX numbers.
        index: the number of the task.
        retry: whether points are launched again that failed.

    Returns:
        its path, or None outside of an array, where INDEX names a point of this machine's plan.

    Raises:
        UserError: if the study cannot be run.
    """
    job = current_job()
    if job is None or job.array is None:
        return None
    session = Session(study, results)
    every = tuple(range(len(session.points)))
    tasks = (every,) * job.tasks if by == "replicates" else tuple((point,) for point in every)
    shape = Shape(nodes=1, processes=max(p.processes for p in session.points),
                  threads_per_process=1, seconds=0)  # fmt: skip
    manifest = Manifest(
        submission=f"{ADOPTED}{job.array}",
        study=study.name,
        preset=study.preset,
        overrides=tuple(settings),
        study_file=study.source.path.resolve(),
        study_text=study.source.text,
        working_folder=Path.cwd(),
        by=by,
        again=retry or by == "replicates",
        code=session.code.code,
        created_at=now(),
        points=planned_points(session.points),
        arrays=(Array(shape=shape, tasks=tasks),),
        scheduler=job.scheduler,
    )
    path = manifest_path(session.results, study.name, manifest.submission)
    write_manifest(path, manifest)
    write_jobs(path.parent, {"0": job.array})
    return path
