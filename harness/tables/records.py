"""Launch files: what a launch leaves behind, one small JSON file, written whole or not at all.

``results/launches/<study>/`` holds ``<point>-<launch>.json`` for each launch that ended, however
it ended, ``session-<session>.json`` for each measuring session, and
``stop-<environment>-<point>.json`` where a point was declared done by its budget. Files are only
ever added. Files of other tasks, nodes or earlier versions of the code can lie in the same folder.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from harness.files import read_json, write_whole
from harness.tables.columns import SCHEMA_VERSION, STATUSES, Value, counts, plausible

log = logging.getLogger(__name__)

_Cells = dict[str, Value]
_Count = Annotated[int, Field(ge=1)]


class _Content(BaseModel):
    model_config = ConfigDict(strict=True)


class _Repetition(_Content):
    """What a repetition in a launch file holds: metrics of rank 0, a dictionary for each rank."""

    repetition: int
    warmup: bool
    seconds: float
    started_at: str
    calls: _Count = 1
    metrics: _Cells
    ranks: list[_Cells] | None
    details: list[_Cells] | None = None


class _Parameters(_Content):
    """The parameters that the harness reckons with, and a value for each of the others."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: _Cells
    processes: _Count
    threads_per_process: _Count


class _Fingerprint(_Content):
    mpi: dict[str, Any] = {}


class _Session(_Content):
    environment: str
    fingerprint: _Fingerprint
    session: str
    started_at: str
    provenance: dict[str, Any]


@dataclass(frozen=True)
class LaunchRecord:
    """One launch of one point.

    ``repetitions`` are dictionaries with ``repetition, warmup, seconds, started_at, metrics`` and
    ``ranks`` (a list of dictionaries, one per rank), and may have ``details`` (likewise) and
    ``calls`` (how often ``run`` was called in it; ``seconds`` are of one call). A launch that
    failed keeps those that it had finished.

    ``submission`` and ``task`` name the array task that it was part of (harness.slurm). A launch
    that was ``interrupted`` from outside says nothing about its point, which is launched again.
    ``round`` is shared by launches that followed one another in one round over the points;
    ``host`` is what this host told of the launch, by columns of the table.
    """

    study: str
    point: str
    launch: str
    order: int
    source: str
    workload: str
    workload_version: str
    environment: str
    parameters: dict[str, Any]
    status: str
    message: str
    started_at: str
    repetitions: list[dict[str, Any]] = field(default_factory=list)
    submission: str = ""
    task: str = ""
    interrupted: bool = False
    round: str = ""
    host: dict[str, Value] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def seconds(self) -> list[float]:
        """Those of its repetitions that are samples of its point."""
        return [r["seconds"] for r in self.repetitions if counts(self.status, r["warmup"])]

    def rates(self, metric: str) -> list[float]:
        """A metric of the repetitions that are samples of its point, where they tell it."""
        counted = [r["metrics"] for r in self.repetitions if counts(self.status, r["warmup"])]
        return [metrics[metric] for metrics in counted if plausible(metrics.get(metric))]


def launches_folder(results: Path, study: str) -> Path:
    """Where the launch files of a study are."""
    return results / "launches" / study


_RECORD = TypeAdapter(LaunchRecord)


def record_path(folder: Path, point: str, launch: str) -> Path:
    """The file of a launch."""
    return folder / f"{point}-{launch}.json"


def write_record(folder: Path, record: LaunchRecord) -> Path:
    """Write a launch file; its name is the launch's own, so nothing is ever overwritten."""
    path = record_path(folder, record.point, record.launch)
    write_whole(path, json.dumps(vars(record), indent=1, allow_nan=True) + "\n")
    return path


def read_records(folder: Path, points: Iterable[str] = ("",)) -> list[LaunchRecord]:
    """Launch files, of all points or of some, in the order in which the launches started.

    A file that cannot be read (a disk's fault: ours are whole) is told of and left out, so that
    one bad file never stops a collection; likewise a copy, since a launch counts once.
    """
    found: dict[Path, LaunchRecord] = {}
    wanted, others = tuple(points), ("session-", "stop-", ".")
    # By names: paths are dear where there are 10,000 of them.
    names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208
    for name in sorted(names):
        if not name.endswith(".json") or not name.startswith(wanted) or name.startswith(others):
            continue
        path = folder / name
        try:
            record = record_of(read_json(path))
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            log.warning("%s is no launch file and is left out (%s)", path, reason)
            continue
        found[path] = record
    return _each_once(folder, found)


def _each_once(folder: Path, found: dict[Path, LaunchRecord]) -> list[LaunchRecord]:
    """The launches in their order; of several files of one launch that with its own name."""
    own = {path: record_path(folder, item.point, item.launch) for path, item in found.items()}
    chosen: dict[Path, LaunchRecord] = {}
    for path in sorted(found, key=lambda path: path != own[path]):
        if own[path] in chosen:
            log.warning("%s is another file of one launch and is left out (%s)", path, own[path])
        else:
            chosen[own[path]] = found[path]
    return sorted(chosen.values(), key=lambda record: (record.started_at, record.launch))


def record_of(content: dict[str, Any]) -> LaunchRecord:
    """The launch that a file holds.

    Raises:
        ValueError: if it cannot become rows of a table.
    """
    with _one_reason():
        record = _RECORD.validate_python(content)
        _Parameters.model_validate(record.parameters)
        for repetition in record.repetitions:
            _Repetition.model_validate(repetition)
    if record.schema_version > SCHEMA_VERSION:
        raise ValueError(f"its schema_version {record.schema_version} is newer than ours")
    if record.status not in STATUSES or (record.status == "ok" and not record.seconds):
        raise ValueError(f"its status is '{record.status}' and it has {len(record.seconds)} times")
    for repetition in record.repetitions:
        if not plausible(repetition["seconds"]):
            raise ValueError(f"a repetition took {repetition['seconds']} seconds")
    return record


@contextmanager
def _one_reason() -> Iterator[None]:
    """Tell the first of a file's faults in a few words."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}") from None


def write_session(folder: Path, session: dict[str, Any]) -> None:
    """Write the provenance of a measuring session."""
    text = json.dumps(session, indent=1, sort_keys=True) + "\n"
    write_whole(folder / f"session-{session['session']}.json", text)


def read_sessions(folder: Path) -> list[dict[str, Any]]:
    """The provenance of all measuring sessions."""
    sessions = []
    for path in sorted(folder.glob("session-*.json")):
        try:
            session = read_json(path)
            with _one_reason():
                _Session.model_validate(session)
            sessions.append(session)
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read and is left out (%s)", path, error)
    return sessions


def write_stop(folder: Path, environment: str, point: str, budget_seconds: float) -> None:
    """Record that a budget stopped a point before its precision was reached."""
    stop = {"environment": environment, "point": point, "reason": "budget",
            "budget_seconds": budget_seconds}  # fmt: skip
    write_whole(folder / f"stop-{environment}-{point}.json", json.dumps(stop) + "\n")


def read_stop(
    folder: Path, environment: str, point: str, budget_seconds: float | None
) -> str | None:
    """``budget`` if a budget stopped the point and no larger one is given now, else None."""
    path = folder / f"stop-{environment}-{point}.json"
    if not os.path.lexists(path):  # cheaper than an exception for each of many points
        return None
    try:
        stop = read_json(path)
        larger = budget_seconds is None or budget_seconds > stop["budget_seconds"]
        return None if larger else str(stop["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def new_identity() -> str:
    """An identity for a launch or session: unique among all tasks and hosts, sortable by time."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return f"{stamp}-{os.urandom(4).hex()}"
