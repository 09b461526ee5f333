"""What ``likwid-perfctr -O`` writes: counters of a run, or of regions in it.

Format, as of LIKWID 5.2 (``likwid.printOutput`` in its ``likwid.lua``): lines of CSV, padded with
empty cells. A table begins with ``TABLE,Group 1 Raw,MEM,22`` or, of a region marked in the program,
``TABLE,Region triad,Group 1 Raw,MEM,22``, and the last number counts its events. Its heading is
``Event,Counter,HWThread 0,HWThread 1`` (``Core 0`` in LIKWID 4); a region's heading stands behind
three lines about the region. A counter that could not be read is ``-`` or ``nan``. Statistics and
derived metrics are tables of their own, which are not read: their names differ between versions.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparring.errors import SparringError

_GROUP = re.compile(r"Group \d+ Raw")
_CPU = re.compile(r"(?:HWThread|Core) \d+")


@dataclass(frozen=True)
class Counts:
    """One group's counters, in a run or a region.

    Attributes:
        region: name of the region; None of a whole run.
        group: "MEM", ...
        events: by event and counter, such as ("CAS_COUNT_RD", "MBOX0C0"), the sum over hardware
            threads; events that no thread could count are absent.
    """

    region: str | None
    group: str
    events: dict[tuple[str, str], float]

    def of(self, event: str) -> float | None:
        """An event, summed over all its counters; None if it was not counted."""
        found = [value for (name, _), value in self.events.items() if name == event]
        return sum(found) if found else None


def parse(text: str) -> list[Counts]:
    """All tables of raw counters.

    Raises:
        SparringError: if there is none, or one is cut short.
    """
    lines = list(csv.reader(text.splitlines()))
    found = []
    for number, line in enumerate(lines):
        if line[:1] == ["TABLE"] and (head := _head(line)):
            region, group, events = head
            found.append(Counts(region, group, dict(_events(lines[number + 1 :], group, events))))
    if not found:
        raise SparringError(
            "likwid-perfctr wrote no table of counters; expected lines beginning 'TABLE,Group'"
        )
    return found


def _head(line: Sequence[str]) -> tuple[str | None, str, int] | None:
    """Region, group and number of events, if a table holds raw counters."""
    cells = [cell for cell in line[1:] if cell]
    region = cells.pop(0).removeprefix("Region ") if cells[0].startswith("Region ") else None
    if len(cells) < 3 or not _GROUP.fullmatch(cells[0]):
        return None
    if not cells[2].isdecimal():
        raise SparringError(f"likwid-perfctr: no number of events in the line {','.join(line)!r}")
    return region, cells[1], int(cells[2])


def _events(
    lines: Sequence[Sequence[str]], group: str, count: int
) -> Iterator[tuple[tuple[str, str], float]]:
    heading = next(
        (i for i, line in enumerate(lines[:4]) if line[:2] == ["Event", "Counter"]), None
    )
    if heading is None:
        raise SparringError(f"likwid-perfctr, group {group}: no heading 'Event,Counter,HWThread'")
    threads = [i for i, cell in enumerate(lines[heading]) if _CPU.fullmatch(cell)]
    rows = lines[heading + 1 : heading + 1 + count]
    if not threads or len(rows) < count or any(row[:1] == ["TABLE"] for row in rows):
        raise SparringError(
            f"likwid-perfctr, group {group}: fewer lines than the {count} events announced; the "
            "output is cut short"
        )
    for row in rows:
        values = [value for i in threads if (value := _number(row[i])) is not None]
        if values:
            yield (row[0], row[1]), sum(values)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:  # '-': could not be counted
        return None
    return value if value == value else None
