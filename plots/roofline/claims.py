"""The intensities that the original study claims (results/reference/README.md)."""

from __future__ import annotations

from pathlib import Path

from harness.tables.table import read_rows

FILE = "roofline.csv"
COLUMNS = ("kernel", "arithmetic_intensity_flop_per_byte")


def load(table: Path) -> dict[str, float]:
    """FLOP per byte by kernel; empty if neither the table's folder nor the project has them.

    Args:
        table: beside which a folder ``reference`` may stand.
    """
    own = Path(__file__).resolve().parents[2] / "results" / "reference"
    places = (table.parent / "reference" / FILE, own / FILE)
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return {}
    return {str(row[COLUMNS[0]]): float(row[COLUMNS[1]]) for row in read_rows(path, COLUMNS)}
