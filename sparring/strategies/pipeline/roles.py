"""Who trains and who generates."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from sparring.compute.interface import Batch
from sparring.strategies.base import Run, shard
from sparring.strategies.pipeline.generator import Generator
from sparring.strategies.pipeline.group import Group
from sparring.strategies.pipeline.trainer import Trainer
from sparring.strategies.waiting import Waiting

if TYPE_CHECKING:
    from mpi4py import MPI

    from sparring.strategies.pipeline.options import Pipeline


def train(options: Pipeline, run: Run) -> None:
    """Play this rank's role. Collective."""
    comm, rank = run.comm, run.comm.rank
    log, waiting = run.begin("trainer")
    trainers = options.trainers
    if trainers == "auto":
        trainers = _choose(options, run, waiting)
    if rank >= trainers:
        log.role = "generator"
    elif rank == 0 and options.trainer_generates:
        log.role = "both"
    log.counters["trainers"] = trainers
    # Rank 0 and the generators; the trainers. Who is in neither has communicators that nobody uses.
    talking = _part(comm, rank == 0 or rank >= trainers)
    updating = _part(comm, rank < trainers)
    if rank >= trainers:
        Generator(options, run, talking, waiting).train()
    else:
        group = Group(options, run, updating, log, waiting)
        if rank == 0:
            Trainer(options, run, talking, group, waiting).train()
        else:
            group.follow()
        group.close()
    talking.Free()
    updating.Free()


def _part(comm: MPI.Intracomm, inside: bool) -> MPI.Intracomm:
    return cast("MPI.Intracomm", comm.Split(int(inside), comm.rank))


def _choose(options: Pipeline, run: Run, waiting: Waiting) -> int:
    """The number of trainers t with which the slower of training and generation is fastest.

    Rank 0 measures an attack on a whole minibatch, and refresh and gradients of the share that each
    number would leave a trainer: an update then takes the longer of that and attack / (p - t).
    Messages are left out.
    """
    comm, compute = run.comm, run.compute
    chosen = np.ones(1, np.int64)
    if comm.rank == 0:
        number, size = run.start, comm.size
        batch = compute.attack(number, slice(None))
        looks = options.receive_interval
        attack = _seconds(lambda: compute.attack(number, slice(None), lambda step: None, looks))
        best = found = math.inf
        measured: dict[int, float] = {}  # by images of the largest share
        for trainers in range(1, min(size - 1, batch.rows) + 1):
            if attack / (size - trainers) >= best:
                break  # fewer generators would only take longer
            share = shard(batch.rows, trainers, 0)
            if share.stop not in measured:
                measured[share.stop] = _seconds(partial(_update, options, run, batch, share))
            period = max(measured[share.stop], attack / (size - trainers))
            if period < best:
                best, found, chosen[0] = period, measured[share.stop], trainers
        t = int(chosen[0])
        run.log.notes.append(
            f"{t} of {size} ranks train: an update of {shard(batch.rows, t, 0).stop} images each "
            f"takes {1e3 * found:.1f} ms, and {size - t} generate a minibatch in "
            f"{1e3 * attack / (size - t):.1f} ms"
        )
    waiting.finish(comm.Ibcast(chosen), "rank 0 to choose the number of trainers")
    return int(chosen[0])


def _update(options: Pipeline, run: Run, batch: Batch, part: slice) -> None:
    """An update on a share of a batch, but for the optimizer's step."""
    share = Batch(batch.number, batch.rows, batch.images[part], batch.labels[part])
    if options.refresh_steps:
        share = run.compute.refresh(share, part, options.refresh_steps, options.refresh_scale)
    run.compute.gradients(share, np.empty(run.compute.gradient_count, run.compute.dtype))


def _seconds(action: Callable[[], object]) -> float:
    """The median of three, after one that does not count."""
    taken = []
    for _ in range(4):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])
