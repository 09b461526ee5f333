"""The columns of the tables, and which values can stand in them.

Imported by every rank before it has begun, so that it imports next to nothing. Plots have them from
`harness.tables.table`.
"""

from __future__ import annotations

Value = str | int | float | bool | None

SCHEMA_VERSION = 1

#: One row per timed repetition; the study's parameters and metrics follow these columns.
ROW_COLUMNS = (
    "schema_version", "study", "point", "launch", "repetition", "warmup", "order", "source",
    "workload", "workload_version", "processes", "threads_per_process", "cores", "seed", "backend",
    "status", "message", "seconds", "environment", "started_at",
)  # fmt: skip

#: One row per rank per repetition.
RANK_COLUMNS = (
    "point", "launch", "repetition", "rank", "role", "host", "generate_seconds", "update_seconds",
    "send_seconds", "receive_seconds", "wait_seconds", "batches", "bytes_sent", "bytes_received",
    "messages_sent", "cpus",
)  # fmt: skip

#: One row per event inside a repetition, where a workload tells of them; its own columns follow.
DETAIL_COLUMNS = ("point", "launch", "repetition", "detail")

#: One row per point of the study as it was last asked for; the parameters follow.
POINT_COLUMNS = (
    "study", "preset", "point", "state", "source", "processes", "threads_per_process", "cores",
    "seed", "backend", "launches_ok", "launches_failed", "median_seconds", "low_seconds",
    "high_seconds", "stopped_by", "environment",
)  # fmt: skip

#: Columns that a row has if its launch told of them; older tables lack them.
HOST_COLUMNS = (
    "host_other_cores", "host_stolen_cores", "host_memory_stall", "host_load", "host_mhz",
    "involuntary_switches", "padding_bytes",
)  # fmt: skip
LAUNCH_COLUMNS = ("launch_round", *HOST_COLUMNS, "marks", "run_calls")

#: Columns of a points table whose study says what its points are compared with.
RATIO_COLUMNS = ("pairs", "speedup", "low_speedup", "high_speedup")
#: Columns of a points table whose study says by which metric its points are compared.
RATE_COLUMNS = ("throughput_metric", "median_throughput")
#: A points table may have these besides; the rest are parameters.
MORE_POINT_COLUMNS = (*RATIO_COLUMNS, "point_marks", *RATE_COLUMNS)

STATUSES = ("ok", "failed", "timeout", "skipped")
SOURCES = ("measured", "oversubscribed", "emulated", "simulated", "reference")

#: As many seconds (31 years) are a clock's fault and no measurement.
TOO_MANY_SECONDS = 1e9


def counts(status: str, warmup: bool) -> bool:
    """Whether a repetition is a sample of its point: the one definition, for files and tables.

    Args:
        status: how its launch ended; what a launch measured that failed later is kept, and is none.
        warmup: whether it only warmed up.
    """
    return status == "ok" and not warmup


def plausible(seconds: object) -> bool:
    """Whether something can have taken so long."""
    return isinstance(seconds, int | float) and 0 < seconds < TOO_MANY_SECONDS
