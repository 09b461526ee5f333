"""The original study's own measured points, to compare with (results/reference/README.md)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError, UserError
from harness.tables.table import read_rows

FILE = "strong_scaling.csv"
COLUMNS = ("processes", "adversary_steps", "epoch_seconds")

#: The serial fraction that the study's slides state. Its Amdahl curve is a claim and no bound: it
#: gives 16.25 at p = 32, where the study measured 24.3.
CLAIMED_FRACTION = 1 / 32


@dataclass(frozen=True)
class Reference:
    """Published points.

    Attributes:
        steps: the adversary steps they were measured with.
        points: pairs of processes and speed-up over one process.
    """

    steps: int
    points: tuple[tuple[int, float], ...]


def find(table: Path, folder: Path | None) -> Path | None:
    """The folder that was asked for, else one next to the table, else the project's own.

    Raises:
        UserError: if the folder that was asked for holds no reference.
    """
    if folder is not None:
        if not (folder / FILE).is_file():
            raise UserError(f"{folder}: --reference expects a folder that holds {FILE}")
        return folder
    own = Path(__file__).resolve().parents[2] / "results" / "reference"
    candidates = (table.parent / "reference", own)
    return next((place for place in candidates if (place / FILE).is_file()), None)


def load(folder: Path) -> Reference:
    """Read the study's strong scaling: speed-up = seconds on one process / seconds on p.

    Raises:
        InputError: if a column or the point of one process is absent.
    """
    path = folder / FILE
    rows = read_rows(path, COLUMNS)
    seconds = {int(row["processes"]): float(row["epoch_seconds"]) for row in rows}
    base = seconds.get(1)
    if base is None:
        raise InputError(path, "expected a row with processes 1, which speed-ups refer to")
    points = tuple((processes, base / own) for processes, own in seconds.items())
    return Reference(int(rows[0]["adversary_steps"]), points)
