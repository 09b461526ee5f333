"""The time of each stage of the fused engine, measured in an attack.

A library compiled with ``-DSTAGE_TIMES`` reads the processor's clock wherever a stage begins or
ends (``sparring/fused/cpp/stages.hpp``). Its ticks are turned into seconds by the wall-clock time
of the same call. It runs in turns with the plain library, and how much longer it takes is told.

The processor reads its clock out of order: a stage of less than some hundred nanoseconds overlaps
its neighbours, and may seem faster than its roof. What Python does between the start of counting
and the attack counts as the stage of no layer, and what the attack does after its last stage (one
block's step) does not count.
"""

from __future__ import annotations

import ctypes
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from kernels.counts.sparsity import Alive, alive, mean
from kernels.counts.work import DIRECTIONS, KINDS, Shape
from sparring.errors import SparringError
from sparring.fused.building.build import build
from sparring.fused.engine import OBJECTIVE_NUMBERS, RULE_NUMBERS, SOURCE, Engine
from sparring.fused.header import header
from sparring.fused.layouts import layouts
from sparring.fused.library import Library, Settings
from sparring.fused.machine import Isa
from sparring.fused.network import Network

#: As ``cpp/stages.hpp`` has it.
STAGE_LAYERS = 256
#: How far the gradients of the two libraries may lie apart, over the largest.
_SAME = 1e-4
_SETTINGS = Settings(
    RULE_NUMBERS["sign"], OBJECTIVE_NUMBERS["cross_entropy"], 0.02, 0.3, 0.0, 1.0
)  # fmt: skip

#: (layer, direction, kind) of a stage.
Key = tuple[int, str, str]


class StagedLibrary(Library):
    """A kernel that counts the ticks of its stages."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._lib.engine_stages.argtypes = [ctypes.POINTER(ctypes.c_int64)]
        self._lib.engine_stages.restype = None

    def ticks(self) -> dict[Key, int]:
        """Ticks of the calling thread since the last call, of stages that took any."""
        counts = (ctypes.c_int64 * (STAGE_LAYERS * len(DIRECTIONS) * len(KINDS)))()
        self._lib.engine_stages(counts)
        keys = [
            (layer, direction, kind)
            for layer in range(STAGE_LAYERS)
            for direction in DIRECTIONS
            for kind in KINDS
        ]
        return {key: count for key, count in zip(keys, counts, strict=True) if count}


@dataclass(frozen=True)
class Sample:
    """One repetition.

    Attributes:
        plain_seconds: of an attack by the plain library.
        staged_seconds: of the same attack by the one that counts ticks.
        seconds: of each stage, in one step; together ``staged_seconds`` over the steps.
    """

    plain_seconds: float
    staged_seconds: float
    seconds: dict[Key, float]

    @property
    def overhead(self) -> float:
        """How many times as long the counting library takes."""
        return self.staged_seconds / self.plain_seconds


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        network: the layers.
        shape: the layout.
        alive: see `attack_step`; mean of the first and the last images.
        samples: one for each repetition.
    """

    network: Network
    shape: Shape
    alive: list[Alive]
    samples: list[Sample]


def measure(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    isa: Isa,
    layout: str,
    *,
    steps: int,
    repetitions: int,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Attack a batch on one thread again and again, by both libraries in turns.

    The plain library has passed the engine's own check against float64 before; the other's
    gradients must be the same.

    Args:
        model: float32, which the engine can compute.
        images: float32 ``(n, c, h, w)`` in [0, 1].
        labels: int64 ``(n,)``.
        isa: this machine's instruction set (`machine_isa`).
        layout: which kernel, "wide" or "tile".
        steps: of one attack.
        repetitions: timed ones, after one that is not.
        seed: of the order.
        clock: seconds.

    Raises:
        SparringError: if a kernel cannot be built, or computes something else.
    """
    kind = next(kind for kind in layouts(isa) if kind.name == layout)
    engine = Engine(model, tuple(images.shape[1:]))
    network = engine.network
    layers = len(network.convolutions) + len(network.dense)
    if layers >= STAGE_LAYERS:
        raise SparringError(f"the network has {layers} layers; at most {STAGE_LAYERS - 1} expected")
    headers, defines = {"network.h": header(network)}, dict(kind.defines)
    plain = Library(build(SOURCE, headers, defines, isa))
    staged = StagedLibrary(build(SOURCE, headers, {**defines, "STAGE_TIMES": 1}, isa))
    packed = engine.space.zeros()
    engine.space.pack(engine.parameters, packed)
    for library in (plain, staged):
        library.use(packed)
    _check(plain, staged, images, labels)
    out = torch.empty_like(images)

    def seconds_of(library: Library) -> float:
        started = clock()
        library.attack(images, images, labels, out, _SETTINGS, steps, 1)
        return clock() - started

    order, samples = random.Random(seed), []
    for repetition in range(-1, repetitions):
        seconds: dict[Library, float] = {}
        counts: dict[Key, int] = {}
        for library in order.sample([plain, staged], 2):
            staged.ticks()
            seconds[library] = seconds_of(library)
            if library is staged:
                counts = staged.ticks()
        if repetition >= 0:
            each = seconds[staged] / sum(counts.values()) / steps
            by_stage = {key: count * each for key, count in counts.items()}
            samples.append(Sample(seconds[plain], seconds[staged], by_stage))
    shape = Shape.of(kind, isa, network, len(images), 1)
    both = [alive(model, network, engine.parameters, x, labels, shape) for x in (images, out)]
    return Measured(network, shape, mean(both), samples)


def _check(plain: Library, staged: Library, images: Tensor, labels: Tensor) -> None:
    """Raises SparringError if the two do not compute the same gradients."""
    found = [torch.empty_like(images) for _ in range(2)]
    for library, gradient in zip((plain, staged), found, strict=True):
        library.input_gradient(images, labels, gradient, OBJECTIVE_NUMBERS["cross_entropy"], 1)
    error = float((found[0] - found[1]).abs().max() / found[0].abs().max().clamp_min(1e-30))
    if not error < _SAME:
        raise SparringError(
            f"the library that counts ticks computes gradients that are off by {error:.1e} of the "
            "largest: its times would be of something else"
        )
