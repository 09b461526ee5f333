"""Predicted times, from ``prediction.csv``: what stands beside bounds where nothing is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.errors import InputError
from harness.tables.table import read_cells

SCHEMA_VERSION = 1
COLUMNS = (
    "run", "kernel", "variant", "batch_size", "input_size", "machine", "active_cores", "gflops",
    "status",
)  # fmt: skip
#: Machine, kernel, variant, batch size, input size.
Key = tuple[str, str, str, int, int]


def load(table: Path, named: Path | None = None) -> dict[Key, float]:
    """GFLOP/s of one core, the latest run with the most busy cores; empty without a table.

    Args:
        table: beside which ``prediction.csv`` stands, if it is not named.
        named: the table of predictions.

    Raises:
        InputError: if a table that was named is absent, or one is no such table.
    """
    path = named or table.with_name("prediction.csv")
    if not path.is_file():
        if named is not None:
            raise InputError(path, "no such table; `python -m kernels predict` writes it")
        return {}
    best: dict[Key, tuple[tuple[int, str], float]] = {}
    for row in read_cells(path, COLUMNS, SCHEMA_VERSION)[1]:
        if row["status"] == "ok" and row["gflops"]:
            key = (
                row["machine"], row["kernel"], row["variant"], int(row["batch_size"]),
                int(row["input_size"]),
            )  # fmt: skip
            rank = int(row["active_cores"]), row["run"]
            if key not in best or rank >= best[key][0]:
                best[key] = rank, float(row["gflops"])
    return {key: rate for key, (_, rate) in best.items()}


def of_machine(
    found: Mapping[Key, float], machine: str, cores: int
) -> dict[tuple[str, ...], float]:
    """By kernel, variant, batch and input size, GFLOP/s of so many cores that all work alike."""
    return {
        (kernel, variant, str(batch), str(size)): cores * rate
        for (name, kernel, variant, batch, size), rate in found.items()
        if name == machine
    }
