"""The kind of value that each column of a table holds, so that its reader need not guess.

Beside ``x.csv`` stands ``x.schema.json``: for each column ``string``, ``boolean`` or ``number``.
Tables from before there were schemas, and those of other programs, have none: there a column holds
numbers or truth values only if every cell is written as ours are, so that no two cells are merged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.errors import InputError
from harness.files import read_json
from harness.tables.columns import Value

STRING, BOOLEAN, NUMBER = "string", "boolean", "number"
KINDS = (STRING, BOOLEAN, NUMBER)

#: Names and identifiers: text also in a table without a schema.
TEXTS = frozenset({
    "study", "point", "launch", "source", "workload", "workload_version", "status", "message",
    "environment", "started_at", "preset", "state", "stopped_by", "role", "host", "cpus", "version",
    "torch_version", "python_version", "launch_round", "marks", "point_marks",
})  # fmt: skip

#: Numbers however they are written, as spreadsheets do in ways of their own.
NUMBERS = frozenset({
    "repetition", "order", "processes", "threads_per_process", "cores", "seed", "seconds",
})  # fmt: skip

_INTEGER = re.compile(r"[+-]?[0-9]+")


def schema_path(table: Path) -> Path:
    """Where the schema of a table stands."""
    return table.with_suffix(".schema.json")


def kind_of(value: Value) -> str | None:
    """The kind of a value; None has none."""
    if value is None:
        return None
    if isinstance(value, bool):
        return BOOLEAN
    return NUMBER if isinstance(value, int | float) else STRING


def add_kinds(schema: dict[str, str], rows: Iterable[Mapping[str, Value]]) -> dict[str, str]:
    """The schema with the kinds of these values; a column of several kinds holds text."""
    joined = dict(schema)
    for row in rows:
        for name, value in row.items():
            if kind := kind_of(value):
                joined[name] = kind if joined.get(name, kind) == kind else STRING
    return joined


def kinds_of_cells(header: Iterable[str], rows: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The schema of a table that has none."""
    found: dict[str, set[str]] = {name: set() for name in header}
    for row in rows:
        for name, cell in row.items():
            if cell and name not in TEXTS:
                found[name].add(_kind_of_cell(cell, any_form=name in NUMBERS))
    texts = {name: STRING for name in found if name in TEXTS}
    return texts | {
        name: next(iter(kinds)) if len(kinds) == 1 else STRING
        for name, kinds in found.items()
        if kinds
    }


def _kind_of_cell(cell: str, any_form: bool) -> str:
    if cell in ("true", "false"):
        return BOOLEAN
    try:
        number = number_of(cell)
    except ValueError:
        return STRING
    return NUMBER if any_form or str(number) == cell else STRING


def number_of(cell: str) -> int | float:
    """The number of a cell: an integer if it is written as one.

    Raises:
        ValueError: if it is none.
    """
    return int(cell) if _INTEGER.fullmatch(cell) else float(cell)


def value_of(cell: str, kind: str | None) -> Value:
    """The value that a cell was written from; None for an empty one.

    Raises:
        ValueError: if it holds no such value.
    """
    if not cell:
        return None
    if kind == NUMBER:
        return number_of(cell)
    if kind == BOOLEAN:
        return {"true": True, "false": False}[cell.lower()]
    return cell


def read_schema(table: Path) -> dict[str, str]:
    """The schema beside a table; empty if there is none.

    Raises:
        InputError: if it is not one.
    """
    path = schema_path(table)
    if not path.is_file():
        return {}
    try:
        schema = read_json(path)
        if not isinstance(schema, dict) or not set(schema.values()) <= set(KINDS):
            raise ValueError(f"the values are not all of {', '.join(KINDS)}")
    except (ValueError, TypeError) as error:
        raise InputError(path, f"expected a JSON object from column to kind ({error})") from None
    return schema


def schema_text(schema: Mapping[str, str]) -> str:
    """A schema as its file holds it."""
    return json.dumps(dict(schema), indent=1) + "\n"
