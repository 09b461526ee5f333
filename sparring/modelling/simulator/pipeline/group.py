"""The simulated trainers: see `sparring.strategies.pipeline.group.Group`."""

from __future__ import annotations

from collections import Counter

import numpy as np

from sparring.modelling.simulator.collectives import (
    allreduce_seconds,
    divided_exchange,
    shared_broadcast_seconds,
    shared_reduction_seconds,
)
from sparring.modelling.simulator.job import Job
from sparring.modelling.simulator.machine import Floats, Machine, in_place
from sparring.modelling.simulator.pipeline.inbox import head_bytes
from sparring.modelling.simulator.pipeline.world import Play, World
from sparring.strategies import Pipeline
from sparring.strategies.base import shard


class Together:
    """What ranks 0 to t - 1 take for an update beside computing.

    Attributes:
        stepping: ranks that share the optimizer's step.
    """

    def __init__(self, machine: Machine, trainers: int) -> None:
        calibration = machine.calibration
        self.machine = Machine(calibration, trainers, 0)
        per_node = calibration.cores_per_node
        shared = trainers <= per_node or trainers % per_node == 0
        reduce = shared_reduction_seconds if shared else allreduce_seconds
        lost = 2 * np.dtype(calibration.dtype).itemsize  # the losses travel with the gradients
        size = float(calibration.gradient_bytes + lost)
        self._whole = reduce(self.machine, size) if trainers > 1 else 0.0
        self._divided = shared and in_place(calibration) and trainers > 1
        self.stepping = self.machine.ranks_on(0) if self._divided else 1

    def exchange(self, rows: int) -> tuple[str, float]:
        """What each computes for an update on so many images, in `Work`; seconds to add it up."""
        if not self._divided:
            return "gradients", self._whole
        return divided_exchange(self.machine, rows, self._whole)

    def giving(self, size: float) -> float:
        """Seconds in which rank 0 gives the others a batch of so many bytes."""
        copy = self.machine.calibration.within.seconds(size)
        return copy + shared_broadcast_seconds(self.machine, size)


def choose_trainers(options: Pipeline, machine: Machine, job: Job) -> int:
    """The number of trainers with which the slower of training and generation is fastest.

    For an update a batch is received, given to all trainers, and trained on; then weights are read.
    """
    if options.trainers != "auto":
        return options.trainers
    calibration, refresh = machine.calibration, options.refresh_steps
    whole = machine.times(job.batch_size)
    looks = -(-job.steps // options.receive_interval)
    attack = whole.prepare.mean + job.steps * whole.step.mean + looks * whole.look.mean
    size = float(job.batch_size * calibration.image_bytes)
    messages = calibration.within.seconds(size) + calibration.read_weights.mean

    def period(trainers: int) -> float:
        rows = shard(job.batch_size, trainers, 0).stop
        times, together = machine.times(rows), Together(machine, trainers)
        written, exchange = together.exchange(job.batch_size)
        update = getattr(times, written).mean + calibration.apply.mean / together.stepping
        if refresh:
            update += times.prepare.mean + refresh * times.step.mean
        if trainers > 1:
            update += together.giving(size) + exchange
        return float(max(update + messages, attack / (machine.processes - trainers)))

    most = min(machine.processes - 1, job.batch_size)
    return min(range(1, most + 1), key=period)


class Group:
    """The trainers' updates, in lockstep."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.together = Together(world.machine, world.trainers)

    def update(self, rows: int) -> Play:
        """Refresh, gradients, their sum and the optimizer's step, on a batch of so many images."""
        world, machine = self.world, self.world.machine
        steps = world.options.refresh_steps
        if world.trainers == 1:
            refresh = machine.refresh(rows, steps)
            yield from world.compute(0, "update", refresh + machine.update(rows))
            return
        size = 8.0 + head_bytes(world) + rows * machine.calibration.image_bytes
        yield from self._all("send", self.together.giving(size))
        ranks = range(world.trainers)
        nodes = [machine.node(rank) for rank in ranks]
        for node in nodes:
            machine.active[node] += 1
        seconds = self._shares(rows) * [machine.factor(machine.active[node]) for node in nodes]
        longest = float(seconds.max())
        world.phases["update"][: world.trainers] += seconds
        world.phases["wait"][: world.trainers] += longest - seconds
        world.joint_seconds += longest - float(seconds[0])
        yield world.clock.timeout(longest)
        for node in nodes:
            machine.active[node] -= 1
        exchange = self.together.exchange(rows)[1]
        world.joint_seconds += exchange
        yield from self._all("wait", exchange)
        apply = machine.calibration.apply.draws(machine.random, world.trainers).max()
        yield from self._all("update", float(apply) / self.together.stepping)

    def _all(self, phase: str, seconds: float) -> Play:
        """Every trainer spends the same time; rank 0's clock is everybody's."""
        self.world.phases[phase][1 : self.world.trainers] += seconds
        yield from self.world.spend(0, phase, seconds)

    def _shares(self, rows: int) -> Floats:
        """Seconds of refresh and gradients of each trainer's share."""
        machine, steps = self.world.machine, self.world.options.refresh_steps
        parts = [shard(rows, self.world.trainers, rank) for rank in range(self.world.trainers)]
        found, written = [], self.together.exchange(rows)[0]
        for size, count in Counter(part.stop - part.start for part in parts).items():
            seconds = np.zeros(count)
            if size:
                times, random = machine.times(size), machine.random
                seconds += getattr(times, written).draws(random, count)
                if steps:
                    seconds += times.prepare.draws(random, count)
                    taken = times.step.draws(random, steps * count)
                    seconds += taken.reshape(count, steps).sum(axis=1)
            found.append(seconds)
        return np.concatenate(found)
