"""Stages under the roof: the rows of ``engine_stages.csv``, and a table to look at."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich.table import Table

from kernels.counts.accounting import attack_step
from kernels.counts.work import ALL, ATTACK_STEP, Work, algorithm, name
from kernels.machines.roof import Roof
from kernels.measure.stages import Key, Measured
from kernels.table import Row, Value

SCHEMA_VERSION = 2
COLUMNS = (
    "schema_version", "run", "network", "weights", "kernel", "direction", "stage", "variant",
    "algorithm", "batch_size", "input_size", "dtype", "threads", "steps", "machine", "isa",
    "repetition", "level", "working_set_bytes", "flops", "flops_nominal", "bytes", "bytes_source",
    "arithmetic_intensity", "seconds", "gflops", "gflops_nominal", "ceiling_gflops",
    "percent_of_ceiling", "overhead", "source", "started_at",
)  # fmt: skip

#: Kernel, direction and stage of the whole step.
_WHOLE = ("attack_step", ALL, ALL)


def rows(
    measured: Measured, roof: Roof, *, batch_size: int, steps: int, common: Row
) -> list[dict[str, Value]]:
    """One row for each stage, layer and direction, and the whole step, of each repetition.

    A stage without operations has its percentage from its bytes: the least time that the roof
    allows, over the time that it took.

    Args:
        measured: times.
        roof: of one thread of this machine.
        batch_size: images attacked.
        steps: of one attack.
        common: the other columns.
    """
    works = attack_step(measured.network, measured.shape, batch_size, steps, measured.alive)
    known = {(work.layer, work.direction, work.kind) for work in works}
    seen = {key for sample in measured.samples for key in sample.seconds}
    # Stages that count neither operations nor bytes take some time all the same.
    works += [Work(*key, 0, 0, 0) for key in sorted(seen - known)]
    return [
        {
            **common,
            **_placed(measured, work, _seconds(sample.seconds, work), roof),
            "schema_version": SCHEMA_VERSION,
            "batch_size": batch_size,
            "steps": steps,
            "repetition": repetition,
            "overhead": sample.overhead,
        }
        for repetition, sample in enumerate(measured.samples)
        for work in works
    ]


def _seconds(stages: dict[Key, float], work: Work) -> float:
    return sum(
        seconds
        for (layer, direction, kind), seconds in stages.items()
        if work.layer in (ATTACK_STEP, layer)
        and work.direction in (ALL, direction)
        and work.kind in (ALL, kind)
    )


def _placed(measured: Measured, work: Work, seconds: float, roof: Roof) -> dict[str, Value]:
    network, direct = measured.network, work.flops_nominal
    level = roof.level(work.working_set)
    intensity = work.flops / work.bytes if work.bytes else None
    least = roof.seconds(work.flops, work.bytes, level)
    return {
        "kernel": name(network, work.layer),
        "direction": work.direction,
        "stage": work.kind,
        "algorithm": algorithm(network, work.layer),
        "input_size": network.shape[1],
        "level": level,
        "working_set_bytes": round(work.working_set),
        "flops": round(work.flops),
        "flops_nominal": None if direct is None else round(direct),
        "bytes": round(work.bytes),
        "bytes_source": "compulsory",
        "arithmetic_intensity": intensity,
        "seconds": seconds,
        "gflops": work.flops / seconds / 1e9 if seconds else None,
        "gflops_nominal": direct / seconds / 1e9 if direct and seconds else None,
        "ceiling_gflops": roof.gflops(intensity, level) if intensity else None,
        "percent_of_ceiling": 100 * least / seconds if seconds and least else None,
    }


def summary(rows: Sequence[Row], title: str) -> Table:
    """Medians over the repetitions: layers with their stages below them, the whole step last."""
    table = Table(title=title, title_justify="left")
    for heading in ("kernel", "stage"):
        table.add_column(heading)
    for heading in ("us a step", "share", "MFLOP", "FLOP/B", "level", "GFLOP/s", "nominal",
                    "ceiling", "% of it"):  # fmt: skip
        table.add_column(heading, justify="right")
    groups: dict[tuple[Value, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["kernel"], row["direction"], row["stage"]), []).append(row)
    step = _median(groups[_WHOLE], "seconds") or 1.0
    whole = [key for key in groups if key[2] == ALL]
    for key in whole:
        inner = [other for other in groups if other[:2] == key[:2] and other != key]
        for other in (key, *(inner if len(inner) > 1 else ())):
            label = key[0] if key == _WHOLE else f"{key[0]} {key[1]}"
            table.add_row(
                str(label) if other == key else "",
                str(other[2]),
                *_cells(groups[other], step),
            )
        if key[1] != "forward":
            table.add_section()
    return table


def _cells(rows: Sequence[Row], step: float) -> list[str]:
    seconds = _median(rows, "seconds") or 0.0
    flops = _median(rows, "flops") or 0.0
    return [
        f"{1e6 * seconds:.1f}",
        f"{100 * seconds / step:.1f}%",
        f"{flops / 1e6:.3g}",
        *(_cell(rows, "arithmetic_intensity", ".2f"), str(rows[0]["level"])),
        *(_cell(rows, column, ".1f") for column in ("gflops", "gflops_nominal", "ceiling_gflops")),
        _cell(rows, "percent_of_ceiling", ".0f"),
    ]


def _cell(rows: Sequence[Row], column: str, form: str) -> str:
    value = _median(rows, column)
    return format(value, form) if value else ""


def _median(rows: Sequence[Row], column: str) -> float | None:
    values = [value for row in rows if isinstance(value := row[column], int | float)]
    return median(values) if values else None
