"""What a submission consists of: an immutable file that fixes the list which ``--index`` refers to.

``results/submissions/<study>/<submission>/`` holds ``manifest.json`` (the study's text, its points
with all parameters, and which array task runs which of them), the job scripts as they were
submitted, ``jobs.json`` (the numbers that came back), ``logs/`` and ``tasks/`` (a note for each
start and each end of a task). The manifest and the scripts are written once.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import InputError
from harness.files import read_json
from harness.study.points import Point
from harness.study.values import Measure, Scalar

log = logging.getLogger(__name__)

MANIFEST_VERSION = 1
#: How the names of submissions begin that an array made by itself, followed by its number.
ADOPTED = "job-"

By = Literal["replicates", "points"]


class _Fixed(BaseModel):
    # Parameters may be inf and nan, which would become null.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class PlannedPoint(_Fixed):
    """A point of the plan; its place in the list is its index."""

    id: str
    parameters: dict[str, Scalar]
    emulates: bool = False


class Shape(_Fixed):
    """What each task of an array asks the scheduler for.

    Attributes:
        nodes: nodes of the allocation.
        processes: MPI ranks at most.
        threads_per_process: cores of each rank.
        seconds: the time limit.
    """

    nodes: int
    processes: int
    threads_per_process: int
    seconds: int


class Array(_Fixed):
    """One job array: its shape, and for each task the indices of its points."""

    shape: Shape
    tasks: tuple[tuple[int, ...], ...]


class Manifest(_Fixed):
    """A submission.

    Attributes:
        by: ``replicates`` (a task launches each of its points once) or ``points`` (as often as the
            study asks).
        again: whether points that failed before are launched again.
        working_folder: where ``submit`` was called; a workload's module may stand there.
        code: hash of the workload's code at that time.
        scheduler: whose jobs they are, a key of `harness.job.SCHEDULERS`.
    """

    schema_version: int = MANIFEST_VERSION
    submission: str
    study: str
    preset: str
    overrides: tuple[str, ...]
    study_file: Path
    study_text: str
    working_folder: Path
    by: By
    again: bool = True
    code: str
    created_at: str
    points: tuple[PlannedPoint, ...]
    arrays: tuple[Array, ...]
    scheduler: str = "slurm"

    def planned(self) -> list[Point]:
        """The points of the plan."""
        return [
            Point(i, point.id, point.parameters, point.emulates)
            for i, point in enumerate(self.points)
        ]


@dataclass(frozen=True)
class Task:
    """One task of an array: which points it runs, as what part of which submission."""

    submission: str
    array: int
    index: int
    points: tuple[int, ...]
    by: By
    again: bool = True

    @property
    def name(self) -> str:
        """``<array>.<index>``, unique in the submission."""
        return f"{self.array}.{self.index}"

    def measure(self, measure: Measure) -> Measure:
        """How this task measures: a replicate launches every point once, whatever came before."""
        if self.by == "points":
            return measure
        once = {"launches": 1, "max_launches": None, "precision": None, "budget_seconds": None}
        return measure.model_copy(update=once)


def submissions_folder(results: Path, study: str) -> Path:
    """Where the submissions of a study are."""
    return results / "submissions" / study


def folder_of(results: Path, manifest: Manifest) -> Path:
    """The folder of a submission."""
    return submissions_folder(results, manifest.study) / manifest.submission


def manifest_path(results: Path, study: str, submission: str) -> Path:
    """The manifest of a submission."""
    return submissions_folder(results, study) / submission / "manifest.json"


def results_of(path: Path) -> Path:
    """The results folder that a manifest lies in."""
    return path.resolve().parents[3]


def task_of(path: Path, manifest: Manifest, array: int, index: int) -> Task:
    """The task of an array index.

    Raises:
        InputError: if the submission has no such array or task.
    """
    if not 0 <= array < len(manifest.arrays):
        raise InputError(
            path,
            f"--array {array}: there is no such array; expected 0 to {len(manifest.arrays) - 1}",
        )
    tasks = manifest.arrays[array].tasks
    if not 0 <= index < len(tasks):
        raise InputError(
            path, f"--index {index}: there is no such task; expected 0 to {len(tasks) - 1}"
        )
    return Task(manifest.submission, array, index, tasks[index], manifest.by, manifest.again)


def write_manifest(path: Path, manifest: Manifest) -> Manifest:
    """Write a manifest unless there is one already; the one that lies there counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".manifest.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(manifest.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o444)
        try:
            os.link(temporary, path)  # whole, and only the first of several tasks succeeds
        except FileExistsError:
            return read_manifest(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        InputError: if there is none, or it is not one.
    """
    try:
        content: dict[str, Any] = read_json(path)
        if content["schema_version"] > MANIFEST_VERSION:
            raise InputError(path, f"its schema_version is newer than {MANIFEST_VERSION}")
        return Manifest.model_validate(content)
    except FileNotFoundError:
        raise InputError(
            path, "no such manifest; expected one that `harness submit` wrote"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(path, f"this is no manifest of a submission ({reason})") from None


def read_manifests(results: Path, study: str) -> list[Manifest]:
    """All submissions of a study, oldest first; what cannot be read is told of and left out."""
    found = []
    for path in submissions_folder(results, study).glob("*/manifest.json"):
        try:
            found.append(read_manifest(path))
        except InputError as error:
            log.warning("%s; left out", error)
    return sorted(found, key=lambda manifest: (manifest.created_at, manifest.submission))


def planned_points(points: Sequence[Point]) -> tuple[PlannedPoint, ...]:
    """Points as a manifest keeps them."""
    return tuple(
        PlannedPoint(id=point.id, parameters=point.parameters, emulates=point.emulates)
        for point in points
    )
