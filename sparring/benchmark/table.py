"""The benchmark's table: one row per timed repetition."""

from __future__ import annotations

SCHEMA_VERSION = 3

COLUMNS = (
    "schema_version", "run", "network", "weights", "dataset", "task", "competitor", "version",
    "batch_size", "threads", "steps", "round", "order", "calls", "seconds",
    "image_steps_per_second", "status", "message", "loss", "success_rate", "gradient_error",
    "loss_after", "backend_used", "first_call_seconds", "seed", "cpu", "cores",
    "torch_version", "python_version", "load_average", "started_at",
)  # fmt: skip
