"""The benchmark's table: one row per timed repetition."""

from __future__ import annotations

from pathlib import Path

from sparring import tables

SCHEMA_VERSION = 3

COLUMNS = (
    "schema_version", "run", "network", "weights", "dataset", "task", "competitor", "version",
    "batch_size", "threads", "steps", "round", "order", "calls", "seconds",
    "image_steps_per_second", "status", "message", "loss", "success_rate", "gradient_error",
    "loss_after", "backend_used", "first_call_seconds", "seed", "cpu", "cores",
    "torch_version", "python_version", "load_average", "started_at",
)  # fmt: skip

Value = tables.Value
Row = tables.Row


class Table(tables.Table):
    """A table of `COLUMNS`.

    Args:
        path: see `sparring.tables.Table`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, COLUMNS)
