"""The rows of ``roofline.csv``."""

from __future__ import annotations

from collections.abc import Iterable

from kernels.declarations.kernel import Case
from kernels.machines.roof import Roof
from kernels.samples import Timed
from kernels.table import SCHEMA_VERSION, Row, Value
from kernels.traffic.traffic import Traffic

COLUMNS = (
    "schema_version", "run", "kernel", "variant", "batch_size", "input_size", "dtype", "threads",
    "machine", "isa", "repetition", "level", "flops", "flops_nominal", "bytes", "bytes_source",
    "active_cores", "arithmetic_intensity", "seconds", "gflops", "gflops_nominal",
    "ceiling_gflops", "percent_of_ceiling", "calls", "error", "status", "message", "source",
    "started_at",
)  # fmt: skip


def rows(
    common: Row,
    case: Case,
    timed: Timed,
    nominal: float,
    traffic: Iterable[Traffic],
    roof: Roof | None,
) -> list[dict[str, Value]]:
    """A row for each repetition and level.

    Args:
        common: the columns that all share: run, kernel, threads, machine, isa, active_cores,
            source, started_at.
        case: the shape.
        timed: what was measured.
        nominal: operations of the direct algorithm.
        traffic: bytes at each level.
        roof: over the kernel; None if the machine has none.
    """
    whole = _whole(common, case, timed.variant) | {
        "status": timed.status, "message": timed.message, "error": timed.error,
    }  # fmt: skip
    if timed.status != "ok" or timed.prepared is None:
        return [whole]
    flops = timed.prepared.flops
    whole |= {"flops": round(flops), "flops_nominal": round(nominal)}
    return [
        {
            **whole, **_placed(flops, found, roof), "repetition": repetition, "seconds": seconds,
            "calls": timed.calls, "gflops": flops / seconds / 1e9,
            "gflops_nominal": nominal / seconds / 1e9,
            "percent_of_ceiling": _percent(flops, found, roof, seconds),
        }
        for repetition, seconds in enumerate(timed.seconds)
        for found in traffic
    ]  # fmt: skip


def placed_elsewhere(
    common: Row,
    case: Case,
    variant: str,
    flops: float,
    nominal: float,
    traffic: Iterable[Traffic],
    roof: Roof,
) -> list[dict[str, Value]]:
    """A row for each level, of a machine that is not here: nothing was timed."""
    whole = _whole(common, case, variant) | {
        "status": "ok",
        "message": "",
        "flops": round(flops),
        "flops_nominal": round(nominal),
    }
    return [whole | _placed(flops, found, roof) for found in traffic]


def _whole(common: Row, case: Case, variant: str) -> dict[str, Value]:
    return {
        **dict.fromkeys(COLUMNS), **common, "schema_version": SCHEMA_VERSION, "variant": variant,
        "batch_size": case.batch_size, "input_size": case.input_size, "dtype": "float32",
    }  # fmt: skip


def _placed(flops: float, found: Traffic, roof: Roof | None) -> dict[str, Value]:
    intensity = flops / found.bytes if flops and found.bytes else None
    ceiling = None
    if roof is not None and flops and found.level in roof.bandwidth:
        ceiling = roof.peak if intensity is None else roof.gflops(intensity, found.level)
    return {
        "level": found.level, "bytes": round(found.bytes), "bytes_source": found.source,
        "arithmetic_intensity": intensity, "ceiling_gflops": ceiling,
    }  # fmt: skip


def _percent(flops: float, found: Traffic, roof: Roof | None, seconds: float) -> float | None:
    if roof is None or found.level not in roof.bandwidth:
        return None
    return 100 * roof.seconds(flops, found.bytes, found.level) / seconds
