"""The strategies in lockstep: `sequential`, `sharded`, `data_parallel`.

All ranks do the same in every minibatch, so a minibatch is a few operations on arrays over ranks,
which is exactly what an event for each rank would give.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sparring.modelling.simulator.collectives import (
    allreduce_seconds,
    broadcast_seconds,
    divided_exchange,
    shared_broadcast_seconds,
    shared_reduction_seconds,
    taken_in_turn,
)
from sparring.modelling.simulator.job import Job
from sparring.modelling.simulator.limits import largest
from sparring.modelling.simulator.machine import Floats, Machine, in_place
from sparring.modelling.simulator.result import Result, no_phases
from sparring.strategies import DataParallel, Sharded
from sparring.strategies.base import shard
from sparring.strategies.telemetry import ALL_RANKS, BatchRecord

#: Ranks by how many images they have.
Groups = list[tuple[int, npt.NDArray[np.int64]]]


def sequential(machine: Machine, job: Job) -> Result:
    """One process generates and updates in turn."""
    phases, now, times = no_phases(1), 0.0, np.empty(job.updates)
    factor = machine.factor(1)
    for number in range(job.updates):
        rows = job.rows(number)
        generate = factor * machine.attack(rows, job.steps)
        update = factor * machine.update(rows)
        phases["generate"][0] += generate
        phases["update"][0] += update
        now += generate + update
        times[number] = now
    seconds = {"generation": phases["generate"][0], "update": phases["update"][0]}
    return _result(machine, job, now, phases, times, seconds, np.array([job.updates]), 0, 0)


class _Shares:
    """How long each rank's part of a minibatch takes, for all ranks at once."""

    def __init__(self, machine: Machine, job: Job) -> None:
        self.machine, self.job = machine, job
        per_node = machine.calibration.cores_per_node
        nodes = np.arange(machine.processes) // per_node
        #: All ranks with a share compute at the same time.
        self.nodes = nodes

    def groups(self, parts: list[int]) -> Groups:
        """Ranks by the number of images that they have."""
        sizes = np.array(parts)
        return [(int(size), np.flatnonzero(sizes == size)) for size in np.unique(sizes)]

    def factors(self, parts: list[int]) -> Floats:
        """Each rank's slowdown while all ranks that have images compute."""
        busy = np.bincount(self.nodes, np.array(parts) > 0, self.machine.nodes).astype(int)
        return np.array([self.machine.factor(n) for n in busy])[self.nodes]

    def draw(self, groups: Groups, name: str, count: int) -> Floats:
        """For each rank the sum of ``count`` durations; 0 without images."""
        seconds = np.zeros(self.machine.processes)
        for size, ranks in groups:
            if size == 0:
                continue
            duration = getattr(self.machine.times(size), name)
            if not duration.samples:
                seconds[ranks] = count * duration.median
                continue
            drawn = duration.draws(self.machine.random, count * len(ranks))
            seconds[ranks] = drawn.reshape(len(ranks), count).sum(axis=1)
        return seconds


def data_parallel(strategy: DataParallel, machine: Machine, job: Job) -> Result:
    """Shares of attack and gradients, one all-reduce, the same step everywhere or a part each."""
    processes, calibration = machine.processes, machine.calibration
    shares, phases = _Shares(machine, job), no_phases(processes)
    start, times = np.zeros(processes), np.empty(job.updates)
    lost = 2 * np.dtype(calibration.dtype).itemsize  # the losses travel with the gradients
    pieces = [float(calibration.gradient_bytes + lost)]
    reduce = allreduce_seconds
    if not strategy.overlap and strategy.reduction != "messages":
        reduce = shared_reduction_seconds
    # The fused engine's ranks share one copy of the weights where they share memory at all.
    divided = reduce is shared_reduction_seconds and processes > 1 and in_place(calibration)
    if strategy.overlap:
        # Messages progress only while a rank is in the MPI library: early ones hide nothing here,
        # and several cost several latencies.
        pieces = [float(size) for size in calibration.gradient_parts or (pieces[0] - lost,)]
        pieces.append(float(lost))
    whole = sum(reduce(machine, size) for size in pieces) if processes > 1 else 0.0
    seconds = dict.fromkeys(("generation", "update", "communication", "imbalance"), 0.0)
    cache: dict[int, tuple[Groups, Floats, str, float]] = {}
    batches = np.zeros(processes, np.int64)
    everybody = machine.factor(machine.ranks_on(0))
    for number in range(job.updates):
        rows = job.rows(number)
        if rows not in cache:
            parts = [_length(shard(rows, processes, r)) for r in range(processes)]
            written, exchange = "gradients", whole
            if divided:
                written, exchange = divided_exchange(machine, rows, whole)
            cache[rows] = shares.groups(parts), shares.factors(parts), written, exchange
        groups, factors, written, exchange = cache[rows]
        generate = factors * (shares.draw(groups, "prepare", 1)
                              + shares.draw(groups, "step", job.steps))  # fmt: skip
        gradients = factors * shares.draw(groups, written, 1)
        apply = everybody * calibration.apply.draws(machine.random, processes)
        if divided:  # a part each; the last of the exchange waits for all of them
            apply = np.full(processes, float((apply / machine.ranks_on(0)).max()))
        ended = start + generate + gradients
        met = float(ended.max()) + exchange
        phases["generate"] += generate
        phases["update"] += gradients + apply
        phases["wait"] += met - ended
        start = met + apply
        times[number] = float(start.max())
        batches += 1
        seconds["generation"] += float(generate.mean())
        seconds["update"] += float((gradients + apply).mean())
        seconds["communication"] += exchange
        seconds["imbalance"] += float((met - exchange - ended).mean())
    return _result(machine, job, times[-1], phases, times, seconds, batches, ALL_RANKS, 0)


def sharded(strategy: Sharded, machine: Machine, job: Job) -> Result:
    """Shares of the attack, gathered by rank 0, which updates and broadcasts."""
    strategy.check(machine.processes)
    lag = 1 if strategy.overlap else 0
    world = _Sharded(strategy, machine, job)
    again = strategy.refresh_steps
    ready: Floats | None = world.make(0, hand_over=not again)
    for number in range(job.updates):
        ahead = number + 1 < job.updates
        if again:
            world.gather(number, world.refresh(number))
            ready = None
        made_next = world.make(number + 1, hand_over=not again) if lag and ahead else None
        world.consume(number, ready)
        world.share_weights(ahead)
        if made_next is not None:
            ready = made_next
        elif ahead:
            ready = world.make(number + 1)
    end = float(world.now.max())
    return _result(
        machine, job, end, world.phases, world.times, world.seconds, world.batches, ALL_RANKS, lag
    )


class _Sharded:
    """All ranks' clocks through the phases of one minibatch after the other."""

    def __init__(self, strategy: Sharded, machine: Machine, job: Job) -> None:
        self.strategy, self.machine, self.job = strategy, machine, job
        self.shares = _Shares(machine, job)
        self.now = np.zeros(machine.processes)
        self.phases = no_phases(machine.processes)
        self.times = np.empty(job.updates)
        self.batches = np.zeros(machine.processes, np.int64)
        self.seconds = dict.fromkeys(("generation", "update", "communication", "imbalance"), 0.0)
        self._split: dict[int, tuple[list[int], Groups, Floats, Floats]] = {}
        size = float(machine.calibration.weights_bytes)
        shared = strategy.broadcast != "messages"
        broadcast = shared_broadcast_seconds if shared else broadcast_seconds
        self.broadcast = broadcast(machine, size) if machine.processes > 1 else 0.0
        self.post = machine.calibration.within.seconds(0)

    def make(self, number: int, *, hand_over: bool = True) -> Floats:
        """Attack; returns when each rank's share can be taken by rank 0, if it is handed over."""
        parts = self._ascend(number, self.job.steps)
        self.batches += np.array(parts) > 0
        return self._hand_over(parts) if hand_over else self.now

    def refresh(self, number: int) -> Floats:
        """Take further steps; returns what `make` does."""
        return self._hand_over(self._ascend(number, self.strategy.refresh_steps))

    def _ascend(self, number: int, steps: int) -> list[int]:
        """So many steps on every share; returns how many images each rank has."""
        parts, groups, factors, _ = self._parts(self.job.rows(number))
        generate = factors * (self.shares.draw(groups, "prepare", 1)
                              + self.shares.draw(groups, "step", steps))  # fmt: skip
        self.phases["generate"] += generate
        self.now = self.now + generate
        self.seconds["generation"] += float(
            generate[0] if self.strategy.overlap else generate.mean()
        )
        return parts

    def _hand_over(self, parts: list[int]) -> Floats:
        """Send the shares; returns when rank 0 can take each of them."""
        sends = np.array(parts) > 0
        sends[0] = False
        ready = np.where(sends, self.now + self.post, -np.inf)
        self.now = self.now + np.where(sends, self.post, 0.0)
        self.phases["send"] += np.where(sends, self.post, 0.0)
        return ready

    def take(self, number: int, ready: Floats) -> Floats:
        """Rank 0 takes the shares in; returns when each of the others' is."""
        begun = float(self.now[0])
        taken = taken_in_turn(ready[1:], self._parts(self.job.rows(number))[3][1:], begun)
        here = max(begun, float(taken.max()))
        late = max(0.0, float(ready[1:].max()) - begun)
        self.phases["wait"][0] += here - begun
        self.seconds["imbalance"] += min(late, here - begun)
        self.seconds["communication"] += max(0.0, here - begun - late)
        self.now[0] = here
        return taken

    def gather(self, number: int, ready: Floats) -> None:
        """Rank 0 takes the shares in, and every other rank waits until its own is."""
        if self.machine.processes > 1:
            ends = np.maximum(self.now[1:], self.take(number, ready))
            self.phases["wait"][1:] += ends - self.now[1:]
            self.now[1:] = ends

    def consume(self, number: int, ready: Floats | None) -> None:
        """Rank 0 takes the shares in, unless it has them, and updates."""
        rows = self.job.rows(number)
        if ready is not None and self.machine.processes > 1:
            self.take(number, ready)
        update = self.machine.factor(1) * self.machine.update(rows)
        if self.strategy.overlap:  # the others attack meanwhile
            update *= self.machine.factor(self.machine.ranks_on(0)) / self.machine.factor(1)
        self.phases["update"][0] += update
        self.seconds["update"] += update
        self.now[0] += update
        self.times[number] = self.now[0]

    def share_weights(self, wanted: bool) -> None:
        """The broadcast: it begins when rank 0 has read its weights and all have come."""
        if not wanted or self.machine.processes == 1:
            return
        read, before = self.machine.read_weights(), self.now.copy()
        self.now[0] += read
        met = float(self.now.max()) + self.broadcast
        write = self.machine.calibration.write_weights.draws(
            self.machine.random, self.machine.processes
        )
        if in_place(self.machine.calibration):  # they are read where they arrived
            write[:] = 0.0
        write[0] = 0.0
        self.phases["wait"] += met - before
        self.phases["receive"] += write
        self.seconds["communication"] += read + self.broadcast
        self.seconds["imbalance"] += met - self.broadcast - float(self.now[0])
        self.now = met + write

    def _parts(self, rows: int) -> tuple[list[int], Groups, Floats, Floats]:
        if rows not in self._split:
            machine, processes = self.machine, self.machine.processes
            parts = [_length(self.strategy.part(rows, processes, r)) for r in range(processes)]
            image = machine.calibration.image_bytes
            costs = np.array([
                machine.link(0, rank).seconds(size * image) if size else 0.0
                for rank, size in enumerate(parts)
            ])  # fmt: skip
            self._split[rows] = (
                parts, self.shares.groups(parts), self.shares.factors(parts), costs
            )  # fmt: skip
        return self._split[rows]


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _result(
    machine: Machine, job: Job, seconds: float, phases: dict[str, Floats], times: Floats,
    decisive: dict[str, float], batches: npt.NDArray[np.int64], generator: int, lag: int,
) -> Result:  # fmt: skip
    records = tuple(
        BatchRecord(n, n, generator, ((0, max(0, n - lag)),), None, math.nan)
        for n in range(job.updates)
    )
    return Result(
        machine.processes, float(seconds), phases, batches, records, times,
        np.zeros(job.updates, np.int64), 0, largest(decisive),
    )  # fmt: skip
