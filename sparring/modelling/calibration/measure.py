"""Calibrate this machine: measure what emulation and simulation take as given, on real ranks."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sparring.benchmark.machine import cores, cpu_model, load_average
from sparring.errors import SparringError
from sparring.modelling.calibration import messages
from sparring.modelling.calibration.calibration import (
    Calibration,
    Collective,
    Link,
    Sized,
    Slowdown,
)
from sparring.modelling.calibration.files import machine_name
from sparring.strategies.reduction import MessageReduction, SharedReduction

if TYPE_CHECKING:
    from mpi4py import MPI

    from sparring.compute.pytorch import TorchCompute

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
#: Bytes of messages, besides those of a batch and of all weights.
MESSAGE_SIZES = (8, 512, 4096, 16384, 65536, 524288, 4194304)
_SLOWDOWN_ROUNDS = 4
_SLOWDOWN_TURN = 1 / 40  # of the seconds that computing is measured for

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What to calibrate.

    Attributes:
        network, backend, dtype: of the computing.
        batch_sizes: images in a call, ascending.
        seconds: that computing is measured for, roughly; the slowdown and messages come on top.
    """

    network: str = "study"
    backend: str = "auto"
    dtype: str = "float32"
    batch_sizes: tuple[int, ...] = BATCH_SIZES
    seconds: float = 20.0


def calibrate(comm: MPI.Intracomm, wanted: Wanted, tell: Tell = lambda line: None) -> Calibration:
    """Measure; the same calibration on every rank. Collective.

    Ranks 0 and 1 must share a node. Computing is measured on rank 0 while the others sleep, the
    slowdown on rank 0's node, messages there and, if there is another node, between the two.

    Args:
        comm: a rank for each core that is to take part in the slowdown, 2 at least.
        wanted: what to calibrate.
        tell: called on rank 0 with what is measured next.

    Raises:
        SparringError: if there are too few ranks, or the backend cannot serve.
    """
    from mpi4py import MPI

    node = cast("MPI.Intracomm", comm.Split_type(MPI.COMM_TYPE_SHARED))
    on_first_node = comm.bcast(node.size if comm.rank == 0 else None)
    nodes = comm.allreduce(int(node.rank == 0))
    if on_first_node < 2:
        raise SparringError(
            f"calibrating needs 2 processes or more on the first node, not {on_first_node}: "
            "mpiexec -n 2 python -m sparring calibrate"
        )
    is_first = comm.bcast(platform.node()) == platform.node()
    cores_per_node = _bind(node)
    from sparring.compute.fused import FusedCompute
    from sparring.modelling.calibration import compute as computing

    compute = computing.build_compute(
        wanted.network, wanted.backend, wanted.dtype, max(wanted.batch_sizes)
    )
    said: Tell = tell if comm.rank == 0 else lambda line: None
    fields: dict[str, Any] = {}
    with compute.in_place(comm.allgather):  # as a trainer has it
        said(f"computing, backend {compute.backend}, about {wanted.seconds:g} s")
        if comm.rank == 0:
            fields["work"] = computing.measure_work(compute, wanted.batch_sizes, wanted.seconds)
            fields |= computing.measure_weights(compute)
            if isinstance(compute, FusedCompute):
                attack, gradients = computing.own_share(compute)
                said(
                    f"Python's own share: {attack * 1e3:.3f} ms of an attack, "
                    f"{gradients * 1e3:.3f} ms of an update's gradients"
                )
        messages.rest(comm)
        said("slowdown with the number of cores that compute")
        if is_first:
            turn = wanted.seconds * _SLOWDOWN_TURN
            fields["slowdown"] = _slowdown(node, compute, cores_per_node, turn)
        messages.rest(comm)
        said("messages")
        if is_first:
            fields |= _messages_of_node(node, compute)
        messages.rest(comm)
        if nodes > 1:
            said("messages between nodes")
            fields |= _messages_between(comm, node, compute)
            messages.rest(comm)
        if comm.rank == 0:
            fields |= _facts(comm, compute, wanted, nodes, cores_per_node)
    found: Calibration = comm.bcast(Calibration(**fields) if comm.rank == 0 else None)
    node.Free()
    return found


def _bind(node: MPI.Intracomm) -> int:
    """Each rank to a CPU of its own, as the harness does, before torch counts them.

    Returns:
        the cores that the node's ranks may use, counted before.
    """
    found = cores()
    if hasattr(os, "sched_getaffinity"):
        cpus = sorted(set().union(*node.allgather(os.sched_getaffinity(0))))
        # A launcher that binds leaves each rank one core: there are as many as ranks, then.
        found = max(found, min(node.size, len(cpus)))
        if node.size <= len(cpus):
            os.sched_setaffinity(0, {cpus[node.rank]})
    import torch

    torch.set_num_threads(1)
    return found


def _slowdown(
    node: MPI.Intracomm, compute: TorchCompute, cores_per_node: int, seconds: float
) -> tuple[Slowdown, ...]:
    """How much longer a step takes while more ranks compute; every number has its turns."""
    from sparring.modelling.calibration.compute import measure_steps

    counts = _doubling(min(node.size, cores_per_node))
    found: dict[int, list[float]] = {count: [] for count in counts}
    measure_steps(compute, seconds / 5)
    for _ in range(_SLOWDOWN_ROUNDS):
        for count in counts:
            messages.rest(node)
            steps = measure_steps(compute, seconds) if node.rank < count else []
            messages.rest(node)
            for others in node.allgather(steps):
                found[count] += others
    medians = {count: float(np.median(samples)) for count, samples in found.items()}
    return tuple(
        Slowdown(active_cores=count, factor=medians[count] / medians[1]) for count in counts
    )


def _messages_of_node(node: MPI.Intracomm, compute: TorchCompute) -> dict[str, Any]:
    """Messages, collectives, windows and probes among the ranks of the first node."""
    from sparring.modelling.calibration.compute import duration

    fields: dict[str, Any] = {}
    itemsize, count = compute.dtype.itemsize, compute.gradient_count + 2
    weights = compute.weight_count * itemsize
    reduced, shared, broadcast = [], [], []
    for processes in _doubling(node.size)[1:]:
        part = cast("MPI.Intracomm", node.Split(0 if node.rank < processes else 1, node.rank))
        if node.rank < processes:
            if processes == 2:
                fields["within"] = _link(part, compute)
                puts, gets = messages.measure_window(part, weights)
                fields["window_put"], fields["window_get"] = duration(puts), duration(gets)
                fields["probe"] = duration(messages.measure_probe(part))
            for elements in (2, count // 16, count):
                samples = messages.measure_reduction(
                    MessageReduction, part, elements, compute.dtype
                )
                reduced.append(_collective(processes, elements * itemsize, samples))
            samples = messages.measure_reduction(SharedReduction, part, count, compute.dtype)
            shared.append(_collective(processes, count * itemsize, samples))
            for size in (8, weights // 16, weights):
                samples = messages.measure_broadcast(part, size)
                broadcast.append(_collective(processes, size, samples))
        part.Free()
        messages.rest(node)
    return fields | {"allreduce": reduced, "shared_reduction": shared, "broadcast": broadcast}


def _messages_between(
    comm: MPI.Intracomm, node: MPI.Intracomm, compute: TorchCompute
) -> dict[str, Any]:
    """Messages between rank 0 and the first rank of another node."""
    heads = [rank for rank, first in enumerate(comm.allgather(node.rank == 0)) if first]
    pair = cast("MPI.Intracomm", comm.Split(0 if comm.rank in heads[:2] else 1, comm.rank))
    found = {"between": _link(pair, compute)} if comm.rank in heads[:2] else {}
    pair.Free()
    return found


def _link(pair: MPI.Intracomm, compute: TorchCompute) -> Link:
    from sparring.modelling.calibration.compute import duration

    image = int(np.prod(compute.image_shape)) * compute.dtype.itemsize
    own = (compute.weight_count * compute.dtype.itemsize, 64 * image)
    found = messages.measure_link(pair, sorted({*MESSAGE_SIZES, *own}))
    return Link(messages=tuple(Sized(bytes=size, seconds=duration(s)) for size, s in found.items()))


def _collective(processes: int, size: int, samples: Sequence[float]) -> Collective:
    from sparring.modelling.calibration.compute import duration

    return Collective(processes=processes, bytes=size, seconds=duration(samples))


def _facts(
    comm: MPI.Intracomm, compute: TorchCompute, wanted: Wanted, nodes: int, cores_per_node: int
) -> dict[str, Any]:
    from sparring.modelling.calibration.compute import factors

    itemsize, in_factors = compute.dtype.itemsize, factors(compute)
    return {
        "schema_version": 1,
        "name": machine_name(nodes, cores_per_node),
        "source": "measured",
        "origin": f"python -m sparring calibrate on {comm.size} processes",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "backend": compute.backend,
        "network": wanted.network,
        "dtype": wanted.dtype,
        "nodes": nodes,
        "cores_per_node": cores_per_node,
        "weights_bytes": compute.weight_count * itemsize,
        "gradient_bytes": compute.gradient_count * itemsize,
        "gradient_parts": tuple((part.stop - part.start) * itemsize for part in compute.parts),
        "image_bytes": int(np.prod(compute.image_shape)) * itemsize,
        "factor_room": in_factors.room,
        "factor_bytes": in_factors.size * itemsize,
        "environment": _environment(cores_per_node),
    }


def _environment(cores_per_node: int) -> dict[str, Any]:
    """What explains the numbers, in the words of a study's ``environment.json``."""
    from mpi4py import MPI

    return {
        "cpu": {
            "model": cpu_model(),
            "architecture": platform.machine(),
            "cores": cores_per_node,
        },
        "mpi": {"library": MPI.Get_library_version().split("\n")[0].strip()},
        "python": platform.python_version(),
        "packages": {
            name: metadata.version(name) for name in ("mpi4py", "numpy", "sparring", "torch")
        },
        "host": platform.node(),
        "system": platform.platform(),
        "load_average": load_average(),
    }


def _doubling(last: int) -> list[int]:
    """1, 2, 4 ... and ``last``."""
    return sorted({last, *(2**k for k in range(last.bit_length()))})
