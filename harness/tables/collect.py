"""Merge launch files into the tables: add what is new, never drop or rewrite a row."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.files import check_regular, read_json, write_whole
from harness.tables import columns
from harness.tables import table as tables
from harness.tables.environments import environments_of, merge_environments
from harness.tables.locks import shared_lock
from harness.tables.records import LaunchRecord, launches_folder, read_records, read_sessions
from harness.tables.schemas import add_kinds, kinds_of_cells, read_schema, schema_path

log = logging.getLogger(__name__)

#: Column to value.
Row = dict[str, Any]

_KEY = ("point", "launch", "repetition")
_RANK_KEY = (*_KEY, "rank")
_DETAIL_KEY = (*_KEY, "detail")


@dataclass(frozen=True)
class Collected:
    """How many rows a collection found and added."""

    rows: int
    added: int


def collect(results: Path, study: str) -> Collected:
    """Bring ``<study>.csv``, ``.ranks.csv``, ``.details.csv`` and ``.environment.json`` up to date.

    Beside each table stands its schema (`harness.tables.schemas`).

    Rows already in a table stay as they are, also when their launch files are gone. Two collectors
    at once are safe: they take turns, and each puts the tables in place whole.

    Raises:
        InputError: if a table on disk is not one; it is then left alone.
    """
    folder = launches_folder(results, study)
    folder.mkdir(parents=True, exist_ok=True)
    with shared_lock(folder / ".collect.lock"):
        records = read_records(folder)
        rows, ranks = rows_of(records), rank_rows_of(records)
        details = detail_rows_of(records)
        total, added = _extend(
            tables.rows_path(results, study), columns.ROW_COLUMNS, rows, _KEY, records
        )
        _extend(tables.ranks_path(results, study), columns.RANK_COLUMNS, ranks, _RANK_KEY, [])
        if details:
            path = tables.details_path(results, study)
            _extend(path, columns.DETAIL_COLUMNS, details, _DETAIL_KEY, [])
        _extend_environments(tables.environment_path(results, study), read_sessions(folder))
    return Collected(total, added)


def rows_of(records: Iterable[LaunchRecord]) -> list[Row]:
    """One row per repetition; a launch that did not end well adds a row with its status."""
    rows: list[Row] = []
    for record in records:
        common: dict[str, Any] = {
            "schema_version": record.schema_version,
            "study": record.study,
            "point": record.point,
            "launch": record.launch,
            "order": record.order,
            "source": record.source,
            "workload": record.workload,
            "workload_version": record.workload_version,
            **record.parameters,
            "cores": int(record.parameters["processes"])
            * int(record.parameters["threads_per_process"]),
            "environment": record.environment,
            **({"launch_round": record.round} if record.round else {}),
            **{name: record.host[name] for name in columns.LAUNCH_COLUMNS if name in record.host},
        }
        for repetition in record.repetitions:
            rows.append(
                common
                | repetition["metrics"]
                | {
                    "repetition": repetition["repetition"],
                    "warmup": repetition["warmup"],
                    "status": "ok",
                    "message": "",
                    "seconds": repetition["seconds"],
                    **({"run_calls": repetition["calls"]} if "calls" in repetition else {}),
                    "started_at": repetition["started_at"],
                }
            )
        if record.status != "ok":
            rows.append(
                common
                | {
                    "repetition": len(record.repetitions),
                    "warmup": False,
                    "status": record.status,
                    "message": record.message,
                    "seconds": None,
                    "started_at": record.started_at,
                }
            )
    return rows


def rank_rows_of(records: Iterable[LaunchRecord]) -> list[Row]:
    """One row per rank per repetition."""
    return [
        rank | key
        for key, repetition in _repetitions(records)
        for rank in repetition["ranks"] or []
    ]


def detail_rows_of(records: Iterable[LaunchRecord]) -> list[Row]:
    """One row per event that a workload told of, numbered in its repetition."""
    return [
        detail | key | {"detail": number}
        for key, repetition in _repetitions(records)
        for number, detail in enumerate(repetition.get("details") or [])
    ]


def _repetitions(
    records: Iterable[LaunchRecord],
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every repetition with the key of its rows."""
    for record in records:
        for repetition in record.repetitions:
            key = {
                "point": record.point,
                "launch": record.launch,
                "repetition": repetition["repetition"],
            }
            yield key, repetition


def _extend(
    path: Path,
    columns: Sequence[str],
    rows: Sequence[Row],
    key: Sequence[str],
    records: Iterable[LaunchRecord],
) -> tuple[int, int]:
    """Append the rows that a table lacks; new columns go to the end, old cells stay as they are.

    The table's schema learns what kinds of values the rows hold, also of those that it has already.
    """
    header: list[str] = list(columns)
    known: list[dict[str, str]] = []
    check_regular(path)
    check_regular(schema_path(path))
    if path.is_file():
        header, known = tables.read_cells(path, columns)
    schema = add_kinds(read_schema(path) or kinds_of_cells(header, known), rows)
    if schema:
        tables.write_schema(path, schema)
    seen = {tuple(row[name] for name in key) for row in known}
    cells = [tables.cells_of(row) for row in rows]
    new = [row for row in cells if tuple(row[name] for name in key) not in seen]
    if not new and (known or not rows):
        return len(known), 0
    # Parameters before metrics; a dict keeps the order in which names were first seen.
    ordered = dict.fromkeys(header)
    for record in records:
        ordered.update(dict.fromkeys(record.parameters))
    for row in new:
        ordered.update(dict.fromkeys(row))
    write_whole(path, tables.format_csv(list(ordered), [*known, *new]))
    return len(known) + len(new), len(new)


def _extend_environments(path: Path, sessions: list[dict[str, Any]]) -> None:
    """Add measuring sessions to what is known of them; a file that holds something else is left.

    It only explains rows, and session files stay: it is no reason to stop a collection.
    """
    known: dict[str, Any] = {}
    try:
        check_regular(path)
        if path.exists():
            known = environments_of(read_json(path))
    except (OSError, ValueError) as error:
        log.warning("%s is left as it is: expected JSON keyed by environment (%s)", path, error)
        return
    merged = merge_environments(known, sessions)
    if merged and merged != known:
        write_whole(path, json.dumps(merged, indent=1, sort_keys=True) + "\n")
