r"""A table that grows: rows are added at its end, and none is ever changed.

CSV as in docs/tables.md: UTF-8, ``\n``, one observation a row, empty cells for None.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from sparring.errors import SparringError

SCHEMA_VERSION = 1

Value = str | int | float | None
Row = Mapping[str, Value]


class Table:
    """A table of fixed columns.

    Args:
        path: the file; it and its folder need not exist.
        columns: names of the columns, in order.

    Raises:
        SparringError: if the file is no table of these columns, or cannot be written, so that
            nothing is measured in vain.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self._columns = path, tuple(columns)
        self._lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock, path.open("ab"):
                self._has_header()
        except OSError as error:
            raise SparringError(f"{path}: cannot be written: {error.strerror}") from None

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows at the end, whole and on disk when this returns.

        Raises:
            SparringError: if the file has other columns by now.
        """
        lines = [[row[column] for column in self._columns] for row in rows]
        with self._lock:
            header = [] if self._has_header() else [self._columns]
            with self.path.open("ab") as file:
                file.write(_text([*header, *lines]).encode())
                file.flush()
                os.fsync(file.fileno())

    def rows(self) -> list[dict[str, str]]:
        """All rows, each cell as it is written.

        Raises:
            SparringError: if the file has other columns by now.
        """
        with self._lock:
            if not self._has_header():
                return []
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                return list(csv.DictReader(file))

    def _has_header(self) -> bool:
        if self.path.stat().st_size == 0:
            return False
        with self.path.open("rb") as file:
            first = file.readline().decode("utf-8-sig", errors="replace")
            file.seek(-1, os.SEEK_END)
            last = file.read()
        if tuple(next(csv.reader([first]), [])) != self._columns:
            raise SparringError(
                f"{self.path}: has other columns than {', '.join(self._columns[:4])}, ...; name "
                "another folder with --results, or move the file away"
            )
        if last != b"\n":
            raise SparringError(
                f"{self.path}: ends in the middle of a row; end its last line, or move it away"
            )
        return True


def _text(lines: Iterable[Iterable[Value]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue()


def utc_now() -> str:
    """The time, for a column ``started_at``."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
