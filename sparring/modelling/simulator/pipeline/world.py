"""What the ranks of a simulated pipeline share: the clock, time accounts, and who computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from sparring.modelling.simulator.job import Job
from sparring.modelling.simulator.machine import Machine
from sparring.modelling.simulator.result import no_phases
from sparring.strategies import Pipeline
from sparring.strategies.telemetry import BatchRecord

#: A part of a simulated rank's life: it yields the events that it waits for.
Play = Generator[Any, Any, Any]


class Bell:
    """Wakes the one rank that waits at it; rung without a listener, it is forgotten."""

    def __init__(self, clock: simpy.Environment) -> None:
        self._clock, self._event = clock, clock.event()
        self._listening = False

    def wait(self) -> Play:
        """Until it rings."""
        self._event, self._listening = self._clock.event(), True
        yield self._event

    def ring(self) -> None:
        """Wake the listener, if there is one."""
        if self._listening:
            self._listening = False
            self._event.succeed()


class World:
    """The state of a simulation.

    Args:
        options: the strategy.
        machine: where it runs.
        job: what is trained.
        trainers: ranks that update.
    """

    def __init__(self, options: Pipeline, machine: Machine, job: Job, trainers: int) -> None:
        self.options, self.machine, self.job = options, machine, job
        self.trainers = trainers
        #: In which rank 0 waited for the other trainers, and summed with them.
        self.joint_seconds = 0.0
        self.clock = simpy.Environment()
        self.phases = no_phases(machine.processes)
        self.counters: Counter[str] = Counter()
        self.batches = np.zeros(machine.processes, np.int64)
        self.records: list[BatchRecord] = []
        self.update_times: list[float] = []
        self.waiting_batches: list[int] = []
        self.waiting_weights = 0
        #: Version of the trainer's weights.
        self.version = 0
        #: Whether the trainer has said stop.
        self.stopped = False
        self.bell = Bell(self.clock)
        self.bells = [Bell(self.clock) for _ in range(machine.processes)]
        self._latencies = [machine.link(0, rank).seconds(0) for rank in range(machine.processes)]
        # A node's network interface carries one message at a time.
        self._free_at = [0.0] * machine.nodes

    @property
    def generators(self) -> int:
        """How many ranks only generate."""
        return self.machine.processes - self.trainers

    @property
    def generator_ranks(self) -> range:
        """Who they are."""
        return range(self.trainers, self.machine.processes)

    def latency(self, rank: int) -> float:
        """Seconds of the smallest message between rank 0 and another."""
        return self._latencies[rank]

    def spend(self, rank: int, phase: str, seconds: float) -> Play:
        """Let a rank spend time in a phase."""
        self.phases[phase][rank] += seconds
        if seconds > 0:
            yield self.clock.timeout(seconds)

    def compute(self, rank: int, phase: str, seconds: float) -> Play:
        """Compute: the node's slowdown is that of the moment in which it begins."""
        machine = self.machine
        node = machine.node(rank)
        machine.active[node] += 1
        yield from self.spend(rank, phase, seconds * machine.factor(machine.active[node]))
        machine.active[node] -= 1

    def transfer_seconds(self, receiver: int, other: int, size: float) -> float:
        """Seconds to take a message in, from now on.

        The receiver copies. Over the network both nodes' interfaces carry one message at a time.
        """
        machine = self.machine
        link = machine.link(receiver, other)
        seconds = link.seconds(size)
        one, two = machine.node(receiver), machine.node(other)
        if one != two:
            now = self.clock.now
            begins = max(now, self._free_at[one], self._free_at[two])
            self._free_at[one] = self._free_at[two] = begins + seconds - link.seconds(0)
            seconds += begins - now
        return seconds

    def wait_at(self, rank: int, event: Any) -> Play:
        """Wait for an event, as the phase wait."""
        began = self.clock.now
        yield event
        self.phases["wait"][rank] += self.clock.now - began

    def wait_bell(self, rank: int, bell: Bell) -> Play:
        """Wait at a bell, as the phase wait."""
        began = self.clock.now
        yield from bell.wait()
        self.phases["wait"][rank] += self.clock.now - began
