r"""The table format: which columns a table has, how it is read, and how it is written.

Tidy tables (one observation a row, one variable a column), CSV as in RFC 4180 with a header line,
UTF-8, ``\n`` line ends. Documented for users in docs/tables.md. This module is the only part of
the harness that plots read tables through; the columns themselves are in `harness.tables.columns`.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.files import check_regular
from harness.files import write_whole as write_whole
from harness.tables.columns import DETAIL_COLUMNS as DETAIL_COLUMNS
from harness.tables.columns import LAUNCH_COLUMNS as LAUNCH_COLUMNS
from harness.tables.columns import MORE_POINT_COLUMNS as MORE_POINT_COLUMNS
from harness.tables.columns import POINT_COLUMNS as POINT_COLUMNS
from harness.tables.columns import RANK_COLUMNS as RANK_COLUMNS
from harness.tables.columns import ROW_COLUMNS as ROW_COLUMNS
from harness.tables.columns import SCHEMA_VERSION as SCHEMA_VERSION
from harness.tables.columns import SOURCES as SOURCES
from harness.tables.columns import Value
from harness.tables.columns import counts as counts
from harness.tables.columns import plausible as plausible
from harness.tables.schemas import (
    NUMBER,
    kinds_of_cells,
    read_schema,
    schema_path,
    schema_text,
    value_of,
)

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a long cell is no reason to refuse a table


def text_of(value: Value) -> str:
    """A cell: shortest digits that give the same float back; true/false; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    # Text from the file system may hold bytes that are no characters; a table is UTF-8.
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def cells_of(row: Mapping[str, Value]) -> dict[str, str]:
    """A row's cells, by column."""
    return {name: text_of(value) for name, value in row.items()}


def rows_path(results: Path, study: str) -> Path:
    """``results/<study>.csv``, one row per timed repetition."""
    return results / f"{study}.csv"


def ranks_path(results: Path, study: str) -> Path:
    """``results/<study>.ranks.csv``, one row per rank per repetition."""
    return results / f"{study}.ranks.csv"


def details_path(results: Path, study: str) -> Path:
    """``results/<study>.details.csv``, one row per event inside a repetition."""
    return results / f"{study}.details.csv"


def points_path(results: Path, study: str) -> Path:
    """``results/<study>.points.csv``, one row per point of the study as last asked for."""
    return results / f"{study}.points.csv"


def environment_path(results: Path, study: str) -> Path:
    """``results/<study>.environment.json``, keyed by the column ``environment``."""
    return results / f"{study}.environment.json"


def read_cells(
    path: Path, required: Sequence[str], newest: int = SCHEMA_VERSION
) -> tuple[list[str], list[dict[str, str]]]:
    """Header and rows of a table as text, so that what is written again stays byte for byte.

    A byte order mark and other line ends, as spreadsheets write them, are read like our own.

    Args:
        path: the table.
        required: columns that it must have.
        newest: the newest schema version that can be read; tables of other kinds count their own.

    Raises:
        InputError: if it cannot be read, is no CSV in UTF-8, a column is missing or there twice, a
            row has too few or too many cells, or its schema version is newer than ours.
    """
    try:
        check_regular(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _read_cells(path, csv.reader(file, strict=True), required, newest)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"not a table: expected CSV text in UTF-8 ({error})") from None
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from None


def _read_cells(
    path: Path, reader: Any, required: Sequence[str], newest: int
) -> tuple[list[str], list[dict[str, str]]]:
    header: list[str] = next(reader, [])
    missing = [column for column in required if column not in header]
    if missing:
        raise InputError(path, f"the header lacks the column '{missing[0]}' of a table of "
                               f"schema version {newest}", 1)  # fmt: skip
    twice = [column for column, number in Counter(header).items() if number > 1]
    if twice:
        raise InputError(path, f"the header has the column '{twice[0]}' twice; expected once", 1)
    rows = []
    for cells in reader:
        if len(cells) != len(header):
            raise InputError(path, f"expected {len(header)} cells in each row, "
                                   f"found {len(cells)}", reader.line_num)  # fmt: skip
        rows.append(dict(zip(header, cells, strict=True)))
        version = rows[-1].get("schema_version", str(newest))
        if not version.isdecimal() or int(version) > newest:
            raise InputError(path, f"expected schema_version {newest} or older, "
                                   f"found '{version}'", reader.line_num)  # fmt: skip
        warmup = rows[-1].get("warmup", "")
        if warmup.lower() not in ("true", "false", ""):
            raise InputError(path, f"the column 'warmup' holds '{warmup}'; expected true or false",
                             reader.line_num)  # fmt: skip
    return header, rows


def read_rows(
    path: Path, required: Sequence[str] = ROW_COLUMNS, newest: int = SCHEMA_VERSION
) -> list[dict[str, Any]]:
    """The rows of a table, each value of the kind that it was written from; None for empty cells.

    The arguments are those of `read_cells`; `harness.tables.schemas` tells what kinds there are.

    Raises:
        InputError: if the file is missing, is no such table, or has a newer schema version.
    """
    if not path.exists():
        raise InputError(path, "no such table; run the study first")
    header, rows = read_cells(path, required, newest)
    kinds = kinds_of_cells(header, rows) | read_schema(path)
    for column in ("repetition", "seconds"):
        if kinds.get(column, NUMBER) != NUMBER:
            raise InputError(path, f"the column '{column}' holds text; expected numbers")
    return [
        {name: _value(path, name, cell, kinds.get(name)) for name, cell in row.items()}
        for row in rows
    ]


def _value(path: Path, column: str, cell: str, kind: str | None) -> Value:
    try:
        return value_of(cell, kind)
    except (ValueError, KeyError):
        raise InputError(path, f"the column '{column}' holds {cell!r}; expected a {kind}, as "
                               f"{schema_path(path).name} says") from None  # fmt: skip


def uncounted(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each row of ``<study>.csv`` why it is no sample of its point; empty where it is one.

    A row that names no launch, as simulated ones, stands for itself.
    """
    ended = {
        (row["point"], row["launch"]): row["status"]
        for row in rows
        if row["status"] != "ok" and row["launch"]
    }

    def reason(row: Mapping[str, Any]) -> str:
        status = ended.get((row["point"], row["launch"]), row["status"])
        warmup = str(row["warmup"]).lower() == "true"
        if counts(status, warmup):
            return ""
        if row["status"] != "ok":
            return f"status {row['status']}"
        return "warm-up" if warmup else f"of a launch that ended with status {status}"

    return [reason(row) for row in rows]


def check_numbers(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Refuse samples whose numbers a table's damage, or a clock's, has made impossible.

    Raises:
        InputError: for the first of them.
    """
    for row in rows:
        for name in ("processes", "threads_per_process", "seconds"):
            if not plausible(row[name]):
                raise InputError(path, f"point {row['point']}, launch {row['launch']}: expected a "
                                       f"number above 0 in '{name}', and no more than a clock can "
                                       f"count, found '{text_of(row[name])}'")  # fmt: skip


def write_schema(table: Path, schema: Mapping[str, str]) -> None:
    """Put the schema of a table in place; before the table, which is then never without."""
    write_whole(schema_path(table), schema_text(schema))


def format_csv(header: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """The text of a table; a column that a row lacks is an empty cell."""
    lines = [header, *([row.get(column, "") for column in header] for row in rows)]
    return "".join(",".join(map(_quoted, line)) + "\n" for line in lines)


def _quoted(cell: str) -> str:
    """A cell as RFC 4180 has it; Python's csv module leaves a lone carriage return unquoted."""
    if any(character in cell for character in ',"\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell
