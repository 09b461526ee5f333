r"""A table that grows: rows are added at its end, and none is ever changed.

CSV as in docs/tables.md: UTF-8, ``\n``, one observation a row, empty cells for None.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from sparring.errors import SparringError
from sparring.outputs import check_outputs, rescue

#: Of a text in a cell, which stands in one line.
MOST_CHARACTERS = 500

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
        # Before the lock, for which `filelock` would wait without end in some folders.
        check_outputs({"the table": path}, existing=("the table",), make_folders=True)
        try:
            with self._lock:
                self._check()
                with path.open("ab"):  # refuses a file that cannot be written
                    pass
        except OSError as error:
            raise SparringError(f"{path}: cannot be written: {error.strerror}") from None

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows at the end, whole and on disk when this returns; absent values are empty.

        Raises:
            SparringError: if the file has other columns by now, or cannot be written; it then is as
                it was, and the message tells where the rows are instead.
        """
        header = _line(self._columns)
        text = "".join(_line(row.get(column) for column in self._columns) for row in rows)
        if not text:
            return
        try:
            with self._lock:
                self._append((text if self._check() else header + text).encode())
        except OSError as error:
            kept = rescue(self.path, header + text)
            raise SparringError(
                f"{self.path}: cannot be written: {error.strerror or error}; {kept}"
            ) from None
        except SparringError as error:
            raise SparringError(f"{error}; {rescue(self.path, header + text)}") from None

    def _append(self, content: bytes) -> None:
        with self.path.open("ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            try:
                written = file.write(content)
                if written != len(content):  # a disk takes what it has room for
                    file.write(content[written:])
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise

    def rows(self) -> list[dict[str, str]]:
        """All rows, each cell as it is written.

        Raises:
            SparringError: if the file has other columns by now.
        """
        with self._lock:
            if not self._check():
                return []
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                return list(csv.DictReader(file))

    def _check(self) -> bool:
        """Whether the table has a header.

        Raises:
            SparringError: if it has another than ours, or ends in the middle of a row.
        """
        if not self.path.exists() or self.path.stat().st_size == 0:
            return False
        with self.path.open("rb") as file:
            first = file.readline().decode("utf-8-sig", errors="replace")
            file.seek(-1, os.SEEK_END)
            last = file.read()
        header = next(csv.reader([first]), [])
        if tuple(header) != self._columns:
            missing = [name for name in self._columns if name not in header]
            unknown = [name for name in header if name not in self._columns]
            reason = (
                f"lacks the column '{missing[0]}'" if missing
                else f"has the unknown column '{unknown[0]}'" if unknown
                else "has its columns in another order"
            )  # fmt: skip
            raise SparringError(
                f"{self.path}: {reason}; name another folder with --results, or move the file away"
            )
        if last != b"\n":
            raise SparringError(
                f"{self.path}: ends in the middle of a row; end its last line, or move it away"
            )
        return True


def _line(cells: Iterable[Value]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow([_text(cell) for cell in cells])
    return buffer.getvalue()


def _text(cell: Value) -> str:
    return "" if cell is None else " ".join(str(cell).split())[:MOST_CHARACTERS]
