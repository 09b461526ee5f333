"""The rows of ``prediction.csv``, and what is predicted by default."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from kernels.declarations.kernel import Case
from kernels.machines.machine import Machine
from kernels.machines.roof import Roof
from kernels.measure.sweeps import MODELLED
from kernels.prediction.ecm import Link, Prediction
from kernels.table import SCHEMA_VERSION, Value
from kernels.traffic.cachesim.simulate import Wanted
from sparring.errors import SparringError

COLUMNS = (
    "schema_version", "run", "kernel", "variant", "batch_size", "input_size", "dtype", "threads",
    "machine", "core", "ghz", "active_cores", "flops", "instructions", "in_core_seconds",
    "throughput_seconds", "second_opinion_seconds", "mispredicted_seconds", "fetch_seconds",
    "load_seconds", "data_l2_seconds", "data_l3_seconds", "data_dram_seconds", "data_seconds",
    "seconds", "gflops", "measured_seconds", "measured_low_seconds",
    "measured_high_seconds", "error_percent", "status", "message", "source", "started_at",
)  # fmt: skip

PREDICTED, NOT_PREDICTED = "predicted", "not predicted"


def chosen(
    batch_size: int, input_size: int, kernels: Sequence[str], variants: Sequence[str]
) -> list[Wanted]:
    """The engine's whole kernels and the study's layers in PyTorch, as far as they are asked for.

    Args:
        batch_size: images.
        input_size: rows and columns of an image.
        kernels: beginnings of names; all if empty.
        variants: names; all if empty.

    Raises:
        SparringError: if nothing is left.
    """
    case = Case(batch_size, input_size)
    every = [
        (variant, name)
        for variant in ("fused", "torch_nchw")
        for name, own in MODELLED.items()
        if variant in own
    ]
    found = [
        Wanted(name, variant, case)
        for variant, name in every
        if (not kernels or name.startswith(tuple(kernels)))
        and (not variants or variant in variants)
    ]
    if not found:
        names = ", ".join(dict.fromkeys(name for _, name in every))
        raise SparringError(
            f"no such kernel is predicted; expected {names}, of fused or torch_nchw"
        )
    return found


def links_of_roof(roof: Roof) -> list[Link]:
    """Transfers between the caches of the machine at hand, from its measured roofs.

    To stream from a level takes the time of loading from L1 and, after it, that of the transfers
    (no overlap); what is left of the measured time is the transfers'. A core on which all overlap
    is shown by it as a little faster than it is.
    """
    near = roof.bandwidth["L1"]
    return [
        Link(level, 1 / (1 / rate - 1 / near))
        for level, rate in roof.bandwidth.items()
        if level != "L1" and rate < near
    ]


def links_of_machine(machine: Machine, active: int, ghz: float) -> list[Link]:
    """Transfers between the caches of a described machine, of one of so many busy cores."""
    found = [
        Link(f"L{cache.level}", cache.bytes_per_cycle * ghz)
        for cache in machine.caches[1:]
        if cache.bytes_per_cycle is not None
    ]
    if machine.memory is not None:
        sockets = -(-active // machine.cores_per_socket)
        found.append(Link("DRAM", machine.memory.gbytes_per_second * sockets / active))
    return found


def row(
    wanted: Wanted, predicted: Prediction, flops: float, measured: Sequence[float]
) -> dict[str, Value]:
    """What a row says of a kernel, without the machine.

    Args:
        wanted: the kernel.
        predicted: its time.
        flops: executed in a call.
        measured: seconds on this machine; empty if nothing was measured.
    """
    seconds, middle = predicted.seconds, median(measured) if measured else None
    return dict.fromkeys(COLUMNS) | {
        "schema_version": SCHEMA_VERSION, "kernel": wanted.kernel, "variant": wanted.variant,
        "batch_size": wanted.case.batch_size, "input_size": wanted.case.input_size,
        "dtype": "float32", "threads": 1, "flops": round(flops),
        "instructions": round(predicted.instructions), "in_core_seconds": predicted.core,
        "throughput_seconds": predicted.throughput,
        "second_opinion_seconds": predicted.second_opinion,
        "mispredicted_seconds": predicted.mispredicted, "fetch_seconds": predicted.fetching,
        "load_seconds": predicted.loads,
        **{f"data_{level.lower()}_seconds": value for level, value in predicted.data.items()
           if f"data_{level.lower()}_seconds" in COLUMNS},
        "data_seconds": sum(predicted.data.values()), "seconds": seconds,
        "gflops": flops / seconds / 1e9 if seconds and flops else None,
        "measured_seconds": middle,
        "measured_low_seconds": min(measured, default=None),
        "measured_high_seconds": max(measured, default=None),
        "error_percent": 100 * (seconds / middle - 1) if seconds and middle else None,
        "status": NOT_PREDICTED if seconds is None else "ok", "message": predicted.message[:400],
        "source": PREDICTED,
    }  # fmt: skip
