"""The compute interface without computing: a rank sleeps for as long as computing would take.

Strategies, messages and their sizes are real; networks and numbers are not. So an emulation tests
the protocol on more ranks than there are cores, and knows nothing of caches, memory bandwidth or
clock frequencies, beyond the slowdown that a calibration was measured with.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sparring.compute.interface import Array, Batch, OnReady, OnStep, Ranks, Statistics
from sparring.modelling.calibration.calibration import Calibration, Duration, Work
from sparring.strategies.waiting import SilentRankError, Waiting

#: Above this share of the machine's CPU time, messaging and Python slow the emulation itself down.
CPU_LIMIT = 0.2

_SHORTEST_NAP = 1e-4  # seconds
_NAP_PART = 0.05  # of what was waited so far


class _Draw(IntEnum):
    """What a duration is drawn for; part of the key, so that no two draws share a stream."""

    ATTACK = 1
    GRADIENTS = 2
    LOSS = 3
    APPLY = 4
    READ = 5
    WRITE = 6
    REFRESH = 7
    ADD = 8


@dataclass
class Sleeper:
    """Sleeps that are right in sum.

    ``time.sleep`` returns late, by some 0.1 ms where timers are coarse. What one sleep was too long
    is taken from the next. A rank that waits for a message meanwhile has not lost that time: it
    would have waited longer (`waited`).

    Attributes:
        clock: monotonic seconds.
        sleep: sleeps for some seconds, or longer.
        late: seconds slept too long and not made up for yet.
    """

    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    late: float = 0.0

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass, less what passed too much before."""
        due = seconds - self.late
        if due <= 0:
            self.late = -due
            return
        began = self.clock()
        self.sleep(due)
        self.late = max(0.0, self.clock() - began - due)

    def waited(self, seconds: float) -> None:
        """So many seconds were waited for somebody else."""
        self.late = max(0.0, self.late - seconds)


@dataclass(frozen=True)
class Napping(Waiting):
    """Wait by naps that grow with the time waited, so that many ranks can share few cores.

    A nap is a twentieth of what was waited so far, from 0.1 ms to 0.1 ms times ``crowd``: what a
    wait is too long for it stays small beside the wait, and all ranks' naps together wake a core no
    more often than one rank's alone.

    Attributes:
        sleeper: of this rank's compute; learns how long it waited.
        crowd: ranks for each core, from 1.
    """

    sleeper: Sleeper = field(default_factory=Sleeper)
    crowd: float = 1.0

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """See `Waiting`."""
        if condition():
            return
        clock = self.sleeper.clock
        began, waited = clock(), 0.0
        while not condition():
            if self.patience_seconds is not None and waited > self.patience_seconds:
                raise SilentRankError(f"no sign for {self.patience_seconds:g} s of {what}")
            self.sleeper.sleep(
                min(_SHORTEST_NAP * self.crowd, max(_SHORTEST_NAP, _NAP_PART * waited))
            )
            waited = clock() - began
        self.sleeper.waited(waited)


class EmulatedCompute:
    """`sparring.compute.interface.Compute` that takes as long as calibrated, and computes nothing.

    Between two points of communication it sleeps once. Durations are drawn from the calibration's
    samples by streams that depend on (seed, what, minibatch, first image) and on nothing else: the
    same minibatch takes equally long in every run, whoever makes it. Where gradients are reduced
    early, all parts are ready at the end, as with the fused engine. Batches, weights and gradients
    have their real sizes and hold zeros.

    Args:
        calibration: how long things take, and how large they are.
        images: images in the training set, at least 1.
        batch_size: images in a full minibatch, at least 1.
        steps: ascent steps of an attack.
        seed: of the draws, 0 .. 2**32 - 1.
        active_cores: cores of the node that compute at the same time, for the slowdown.
        step_delay: seconds by which each step of this rank takes longer.
        sleeper: lets time pass.

    Raises:
        ValueError: if there are no images or steps.
    """

    backend = "emulated"

    def __init__(
        self,
        calibration: Calibration,
        *,
        images: int,
        batch_size: int,
        steps: int,
        seed: int = 0,
        active_cores: float = 1.0,
        step_delay: float = 0.0,
        sleeper: Sleeper | None = None,
    ) -> None:
        for name, value in (("images", images), ("batch_size", batch_size), ("steps", steps)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self._calibration, self._seed, self._delay = calibration, seed, step_delay
        self._size, self._batch_size = images, min(batch_size, images)
        self._factor = calibration.factor(active_cores)
        self.sleeper = sleeper or Sleeper()
        self.dtype: np.dtype[Any] = np.dtype(calibration.dtype)
        self.image_shape: tuple[int, ...] = (calibration.image_bytes // self.dtype.itemsize,)
        self.weight_count = calibration.weights_bytes // self.dtype.itemsize
        self.gradient_count = calibration.gradient_bytes // self.dtype.itemsize
        ends = np.cumsum(calibration.gradient_parts or (calibration.gradient_bytes,))
        bounds = [0, *(int(end) // self.dtype.itemsize for end in ends)]
        self._parts = [slice(a, b) for a, b in pairwise(bounds)]
        self.attack_steps = steps
        self.epoch_length = math.ceil(images / self._batch_size)
        # Never written: it may be on its way to several ranks.
        self._images: Array = np.zeros((self._batch_size, *self.image_shape), self.dtype)
        self._zeroed: set[int] = set()
        self._known: dict[int, Work] = {}
        self.reset()

    def reset(self) -> None:
        """See `Compute`."""
        self.optimizer_seconds = 0.0
        self._part = 1.0  # of the weights, that this rank's optimizer steps on
        self._calls = dict.fromkeys(_Draw, 0)
        self.sleeper.late = 0.0

    def rows(self, number: int) -> int:
        """See `Compute`."""
        start = number % self.epoch_length * self._batch_size
        return min(self._batch_size, self._size - start)

    def attack(
        self, number: int, part: slice, on_step: OnStep | None = None, every: int = 1
    ) -> Batch:
        """See `Compute`; one sleep for all steps between two calls of ``on_step``."""
        rows = self.rows(number)
        first, last, _ = part.indices(rows)
        count = max(0, last - first)
        steps, due = np.zeros(self.attack_steps), 0.0
        random = self._random(_Draw.ATTACK, number, first)
        times = self._times(count) if count else None
        if times:
            due = self._factor * times.prepare.draw(random)
            steps = self._factor * times.step.draws(random, self.attack_steps) + self._delay
        if on_step is None:
            self.sleeper.pass_time(due + float(steps.sum()))
        else:
            self.sleeper.pass_time(due)
            for step in range(0, self.attack_steps, every):
                on_step(step)
                look = self._factor * times.look.draw(random) if times else 0.0
                self.sleeper.pass_time(look + float(steps[step : step + every].sum()))
        return Batch(number, rows, self._images[:count], np.zeros(count, np.int64))

    def refresh(self, batch: Batch, part: slice, steps: int, scale: float) -> Batch:
        """See `Compute`; one sleep."""
        if count := len(batch.labels):
            times = self._times(count)
            random = self._random(_Draw.REFRESH, batch.number, part.indices(batch.rows)[0])
            due = times.prepare.draw(random) + float(times.step.draws(random, steps).sum())
            self.sleeper.pass_time(self._factor * due + steps * self._delay)
        return batch

    def labels(self, number: int) -> npt.NDArray[np.int64]:
        """See `Compute`; zeros."""
        return np.zeros(self.rows(number), np.int64)

    #: See `Compute`.
    mixes_images = False

    def join(self, ranks: Ranks | None, statistics: Statistics = "synchronized") -> None:
        """See `Compute`; never called."""
        raise NotImplementedError

    def loss(self, batch: Batch, *, joint: bool = False) -> float:
        """See `Compute`; 0."""
        if count := len(batch.labels):
            self._take(self._times(count).loss, _Draw.LOSS, batch.number)
        return 0.0

    def gradients(self, batch: Batch, out: Array, on_ready: OnReady | None = None) -> float:
        """See `Compute`; ``out`` is set to 0 when it is new, and the loss is 0."""
        self._zero(out)
        if count := len(batch.labels):
            self._take(self._times(count).gradients, _Draw.GRADIENTS, batch.number)
        if on_ready is not None:
            for part in reversed(self._parts):
                on_ready(part)
        return 0.0

    def gradients_to_add(self, batch: Batch, out: Array) -> tuple[float, int]:
        """See `Compute`; where factors were calibrated they take so long, and hold nothing."""
        count = len(batch.labels)
        if not 0 < count <= self._calibration.factor_room:
            return self.gradients(batch, out), -1
        self._zero(out)
        self._take(self._times(count).gradients_to_add, _Draw.GRADIENTS, batch.number)
        return 0.0, count

    def add_gradients(
        self, rows: Sequence[Array], factors: Sequence[int], part: slice, out: Array
    ) -> None:
        """See `Compute`; factors take as long as calibrated, gradients are added up."""
        images = sum(count for count in factors if count > 0)
        share = (part.stop - part.start) / self.gradient_count
        if images:
            self._take(self._times(images).add_gradients, _Draw.ADD, part=share)
        out[part] = 0
        for row, count in zip(rows, factors, strict=True):
            if count < 0:
                out[part] += row[part]

    def apply(self, gradients: Array) -> None:
        """See `Compute`."""
        self.optimizer_seconds += self._take(self._calibration.apply, _Draw.APPLY, part=self._part)

    @property
    def shared_rows(self) -> int:
        """See `Compute`: as the fused engine with momentum."""
        return 2 if self._calibration.backend == "fused" else 0

    def live_in(self, rows: Sequence[Array] | None, part: slice, *, first: bool) -> None:
        """See `Compute`; a step on a part takes that part of the time."""
        for row in rows or () if first else ():
            self._zero(row)
        self._part = (part.stop - part.start) / self.weight_count

    def weights_changed(self) -> None:
        """See `Compute`."""

    def read_weights(self, out: Array) -> None:
        """See `Compute`; ``out`` is set to 0 when it is new."""
        self._zero(out)
        self._take(self._calibration.read_weights, _Draw.READ)

    def write_weights(self, weights: Array) -> None:
        """See `Compute`."""
        self._take(self._calibration.write_weights, _Draw.WRITE)

    def borrow_weights(self, weights: Array) -> None:
        """See `Compute`; the fused engine reads them where they are."""
        if self._calibration.backend != "fused":
            self.write_weights(weights)

    def return_weights(self) -> None:
        """See `Compute`."""

    def _times(self, images: int) -> Work:
        if images not in self._known:
            self._known[images] = self._calibration.times(images)
        return self._known[images]

    def _take(
        self, duration: Duration, what: _Draw, number: int | None = None, part: float = 1.0
    ) -> float:
        """Let one drawn duration pass; what belongs to no minibatch is keyed by its turn."""
        if number is None:
            number = self._calls[what]
            self._calls[what] += 1
        seconds = part * self._factor * duration.draw(self._random(what, number, 0))
        self.sleeper.pass_time(seconds)
        return seconds

    def _random(self, what: _Draw, number: int, first: int) -> np.random.Generator:
        # Philox's key is free to choose: a stream for each key, and none to set up.
        low = np.uint64(number) << np.uint64(24) | np.uint64(first & 0xFFFFFF)
        key = np.array([np.uint64(self._seed) << np.uint64(8) | np.uint64(what), low], np.uint64)
        return np.random.Generator(np.random.Philox(key=key))

    def _zero(self, out: Array) -> None:
        """Give a new buffer's pages memory; what is added up of zeros stays zero."""
        address = out.ctypes.data
        if address not in self._zeroed:
            self._zeroed.add(address)
            out[:] = 0


def expected_active_cores(
    calibration: Calibration,
    *,
    strategy: str,
    processes: int,
    batch_size: int,
    steps: int,
    trainer_generates: bool = False,
    refresh_steps: int = 0,
    trainers: int = 1,
) -> float:
    """Cores of a node that compute at a time, on average: what the slowdown is asked for.

    In a pipeline every generator computes, and each trainer for as long as the generators' batches
    last it; elsewhere, where the trainer generates, and where the trainers are as many as serve
    best (0), every rank does. More ranks than the node has cores count as its cores.
    """
    active = float(processes)
    if strategy == "pipeline" and processes > trainers > 0 and not trainer_generates:
        times, share = calibration.times(batch_size), calibration.times(-(-batch_size // trainers))
        generate = times.prepare.mean + steps * times.step.mean
        update = share.gradients.mean + calibration.apply.mean
        if refresh_steps:
            update += share.prepare.mean + refresh_steps * share.step.mean
        busy = (processes - trainers) * update / generate if generate else 1.0
        active = processes - trainers + trainers * min(1.0, busy)
    return min(active, float(calibration.cores_per_node))
