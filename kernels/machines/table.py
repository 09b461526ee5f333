"""The table ``results/machines.csv``: roofs of machines that files describe.

It is derived from the files and written anew each time, so that figures need to read no TOML. Roofs
of the machine at hand are measured and stand in ``results/ceilings.csv``.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from kernels.machines.machine import Machine
from kernels.table import SCHEMA_VERSION, Row, Value
from sparring.errors import SparringError

COLUMNS = (
    "schema_version", "machine", "title", "isa", "extent", "cores", "clock", "ghz", "level", "kind",
    "gflops", "gbytes_per_second", "capacity_bytes", "source", "reference",
)  # fmt: skip


def rows(machine: Machine) -> list[dict[str, Value]]:
    """A row for each roof: theoretical ones for one core, one socket and all, then measured ones.

    ``fma`` is the peak with multiply-adds; ``no_fma`` half of it, what additions or multiplications
    alone attain; ``bandwidth`` that of a level.
    """
    found = []
    for extent, cores in machine.extents.items():
        for clock in machine.clocks:
            found += _theoretical(machine, extent, cores, clock.name)
    for roof in machine.measured:
        found.append(
            _row(machine) | {
                "cores": roof.threads, "level": roof.level, "gflops": roof.gflops,
                "kind": "fma" if roof.level == "FMA" else "bandwidth", "source": "measured",
                "gbytes_per_second": roof.gbytes_per_second, "reference": roof.source,
            }
        )  # fmt: skip
    return found


def _theoretical(machine: Machine, extent: str, cores: int, clock: str) -> list[dict[str, Value]]:
    roof = machine.roof(cores, clock)
    if roof is None or machine.flops_per_cycle is None or machine.memory is None:
        return []
    frequency = machine.clock(clock)
    common = _row(machine) | {
        "extent": extent, "cores": cores, "clock": clock, "ghz": frequency.ghz,
        "source": "theoretical",
    }  # fmt: skip
    peak = f"{machine.flops_per_cycle.source}; clock: {frequency.source}"
    found = [
        common | {"level": "FMA", "kind": kind, "gflops": roof.peak * part, "reference": peak}
        for kind, part in (("fma", 1.0), ("no_fma", 0.5))
    ]
    sources = {f"L{cache.level}": cache.source for cache in machine.caches}
    for level, rate in roof.bandwidth.items():
        found.append(
            common | {
                "level": level, "kind": "bandwidth", "gbytes_per_second": rate,
                "capacity_bytes": roof.capacity.get(level),
                "reference": sources.get(level, machine.memory.source),
            }
        )  # fmt: skip
    return found


def _row(machine: Machine) -> dict[str, Value]:
    empty: dict[str, Value] = dict.fromkeys(COLUMNS)
    return empty | {
        "schema_version": SCHEMA_VERSION, "machine": machine.name, "title": machine.title,
        "isa": machine.isa,
    }  # fmt: skip


def write(path: Path, machines: Iterable[Machine]) -> int:
    """Write the table anew, whole or not at all.

    Returns:
        the number of its rows.

    Raises:
        SparringError: if it cannot be written.
    """
    lines: list[Row] = [row for machine in machines for row in rows(machine)]
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([row[column] for column in COLUMNS] for row in lines)
        beside.replace(path)
    except OSError as error:
        raise SparringError(f"{path}: cannot be written: {error.strerror}") from None
    return len(lines)
