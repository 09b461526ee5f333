"""A calibrated machine as the simulator asks it: durations, links, and who computes where."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sparring.errors import SparringError
from sparring.modelling.calibration.calibration import Calibration, Duration, Link, Work

Floats = npt.NDArray[np.float64]

_BLOCK = 4096


@dataclass
class Draws:
    """The durations of one thing, drawn in blocks: one number at a time is slow."""

    duration: Duration
    random: np.random.Generator
    _block: Floats = field(default_factory=lambda: np.empty(0))
    _next: int = 0

    def one(self) -> float:
        """The next duration, in seconds."""
        if not self.duration.samples:
            return self.duration.median
        if self._next == len(self._block):
            self._block, self._next = self.duration.draws(self.random, _BLOCK), 0
        self._next += 1
        return float(self._block[self._next - 1])

    def total(self, count: int) -> float:
        """So many durations together, in seconds."""
        if not self.duration.samples:
            return count * self.duration.median
        return float(self.duration.draws(self.random, count).sum())


class Machine:
    """A calibration with ranks placed on it: one a core, node after node.

    Args:
        calibration: the machine.
        processes: ranks, from 1.
        seed: of all draws.

    Raises:
        SparringError: if there are more ranks than cores.
    """

    def __init__(self, calibration: Calibration, processes: int, seed: int) -> None:
        cores = calibration.nodes * calibration.cores_per_node
        if processes < 1 or processes > cores:
            raise SparringError(
                f"machine '{calibration.name}' has {calibration.nodes} x "
                f"{calibration.cores_per_node} = {cores} cores; expected 1 to {cores} processes, "
                f"not {processes}"
            )
        self.calibration, self.processes = calibration, processes
        self.random = np.random.default_rng(seed)
        self.nodes = -(-processes // calibration.cores_per_node)
        #: Ranks that compute at the moment, by node.
        self.active = [0] * self.nodes
        self._factors = [
            calibration.factor(max(1, n)) for n in range(calibration.cores_per_node + 1)
        ]
        self._draws: dict[tuple[str, int], Draws] = {}
        self._times: dict[int, Work] = {}

    def node(self, rank: int) -> int:
        """The node of a rank."""
        return rank // self.calibration.cores_per_node

    def ranks_on(self, node: int) -> int:
        """How many ranks a node has."""
        per_node = self.calibration.cores_per_node
        return min(per_node, self.processes - node * per_node)

    def factor(self, active_cores: int) -> float:
        """Slowdown with so many computing ranks on a node."""
        return self._factors[min(active_cores, len(self._factors) - 1)]

    def link(self, one: int, other: int) -> Link:
        """What connects two ranks."""
        if self.node(one) == self.node(other):
            return self.calibration.within
        assert self.calibration.between is not None  # a calibration of several nodes has it
        return self.calibration.between

    def times(self, images: int) -> Work:
        """Times of a call with so many images; see `Calibration.times`."""
        if images not in self._times:
            self._times[images] = self.calibration.times(images)
        return self._times[images]

    def prepare(self, images: int) -> float:
        """Seconds before an attack's first step."""
        return self._draw("prepare", images).one()

    def steps(self, images: int, count: int) -> float:
        """Seconds of so many ascent steps."""
        return self._draw("step", images).total(count)

    def look(self, images: int) -> float:
        """Seconds that being interrupted before a step adds to it."""
        return self._draw("look", images).one()

    def attack(self, images: int, steps: int) -> float:
        """Seconds of a whole attack; 0 without images."""
        return self.prepare(images) + self.steps(images, steps) if images else 0.0

    def update(self, images: int) -> float:
        """Seconds of gradients and the optimizer's step."""
        return self.gradients(images) + self.apply()

    def refresh(self, images: int, steps: int) -> float:
        """Seconds of so many further steps on adversaries; 0 if there are none."""
        return self.attack(images, steps) if steps else 0.0

    def gradients(self, images: int) -> float:
        """Seconds of loss and gradients; 0 without images."""
        return self._draw("gradients", images).one() if images else 0.0

    def apply(self) -> float:
        """Seconds of the optimizer's step."""
        return self._draw("apply", 0).one()

    def read_weights(self) -> float:
        """Seconds to copy all weights out of the model."""
        return self._draw("read_weights", 0).one()

    def write_weights(self) -> float:
        """Seconds to copy all weights into the model."""
        return self._draw("write_weights", 0).one()

    def probe(self) -> float:
        """Seconds of one look for a message that is not there."""
        return self.calibration.probe.mean

    def _draw(self, name: str, images: int) -> Draws:
        key = (name, images)
        if key not in self._draws:
            source = self.times(images) if images else self.calibration
            self._draws[key] = Draws(getattr(source, name), self.random)
        return self._draws[key]


def in_place(calibration: Calibration) -> bool:
    """Whether ranks train, and read, weights where others put them (`sparring.compute.place`)."""
    return calibration.backend == "fused"
