"""Measure computing: the parts of adversarial training, as a strategy calls them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from sparring import networks
from sparring.attacks import GradientAscent
from sparring.batches import Batches
from sparring.compute.fused import FusedCompute, compute_for
from sparring.compute.interface import Array, Batch
from sparring.compute.pytorch import TorchCompute
from sparring.data.dataset import Split
from sparring.fused.engine import Engine
from sparring.modelling.calibration.calibration import Duration, Work
from sparring.strategies.base import shard

#: Of the longer of two attacks; the shorter takes one.
_ATTACK_STEPS = 16
_LEAST_ROUNDS, _MOST_ROUNDS = 5, 60
#: Batch size at which the slowdown is measured.
_SLOWDOWN_BATCH = 64

Samples = dict[str, list[float]]


def build_compute(network: str, backend: str, dtype: str, largest: int) -> TorchCompute:
    """A rank's compute with the study's attack and optimizer, on made-up images.

    Weights are the initial ones. What a convolution or a step takes does not depend on pixels'
    values; of few images the engine leaves out inputs of linear layers that are 0, and random
    pixels leave some 5 % fewer of them than MNIST's. So the data set need not be there.

    Raises:
        BackendError: if ``backend`` is ``"fused"`` and the engine cannot serve.
    """
    model = networks.build(network, 0, getattr(torch, dtype))
    random = np.random.default_rng(0)
    split = Split(
        random.integers(256, size=(4 * largest, 28, 28), dtype=np.uint8),
        random.integers(10, size=4 * largest, dtype=np.uint8),
        ((np.arange(256) / 255 - 0.1307) / 0.3081).astype(np.float32),
    )
    attack = GradientAscent(step_size=1.0, steps=_ATTACK_STEPS, bounds=(-5.0, 5.0), backend=backend)
    return compute_for(
        backend, model, split, Batches(len(split), largest, 0), attack,
        lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.5, fused=True),
    )  # fmt: skip


def duration(samples: Sequence[float]) -> Duration:
    """A duration of what was observed, in seconds."""
    return Duration(median=float(np.median(samples)), samples=tuple(samples))


def measure_work(compute: TorchCompute, sizes: Sequence[int], seconds: float) -> tuple[Work, ...]:
    """Step, gradients and loss times of every batch size, in turn, for so many seconds.

    A step is what each further one adds to an attack that nobody interrupts (the engine then takes
    all steps of a few images before the next few, in the cache): of the difference between an
    attack of several steps and one of a single step. What that takes beside its step is the
    preparation: reading images, random streams, checks, and what the cache has lost since the last
    attack. What a look adds is the difference to attacks that are interrupted before every step,
    and its median alone is kept.
    """
    found: dict[int, Samples] = {size: defaultdict(list) for size in sizes}
    gradients = np.empty(compute.gradient_count, compute.dtype)
    adding = _Adding(compute, max(sizes)) if factors(compute).room else None
    for size in sizes:  # kernels, allocators and caches
        _measure_round(compute, size, gradients, defaultdict(list))
    began = time.perf_counter()
    for number in range(_MOST_ROUNDS):
        for size in sizes:
            _measure_round(compute, size, gradients, found[size])
            if adding is not None:
                adding.measure_round(size, found[size])
        if number + 1 >= _LEAST_ROUNDS and time.perf_counter() - began > seconds:
            break
    return tuple(_work(size, found[size]) for size in sizes)


def _work(size: int, found: Samples) -> Work:
    step = duration(found["step"])
    look = (float(np.median(found["looked"])) - float(np.median(found["whole"]))) / _ATTACK_STEPS
    return Work(
        batch_size=size, step=step, gradients=duration(found["gradients"]),
        loss=duration(found["loss"]), prepare=duration(found["prepare"]),
        look=Duration(median=max(0.0, look)),
        **{name: duration(found[name]) for name in _Adding.MEASURED if name in found},
    )  # fmt: skip


class Factors(NamedTuple):
    """How many images' gradients a rank writes as factors at most, and numbers of one image's."""

    room: int
    size: int


def factors(compute: TorchCompute) -> Factors:
    """Of ranks that train in place; no images elsewhere."""
    if isinstance(compute, FusedCompute) and compute.shared_rows:
        return Factors(compute.engine.factor_room, compute.engine.factor_size)
    return Factors(0, 0)


class _Adding:
    """What ranks that share memory write in an update, and adding it up, in this process alone."""

    MEASURED = ("gradients_to_add", "add_gradients")

    def __init__(self, compute: TorchCompute, largest: int) -> None:
        self._compute, count = compute, compute.gradient_count
        number = max(2, -(-largest // factors(compute).room))
        self._rows = [np.zeros(count, compute.dtype) for _ in range(number)]
        self._total, self._part = np.empty(count, compute.dtype), slice(0, count)

    def measure_round(self, size: int, found: Samples) -> None:
        """Time both for so many images, once."""
        compute = self._compute
        batch = compute.attack(0, slice(0, size))
        written = found["gradients_to_add"]
        written.append(_timed(lambda: compute.gradients_to_add(batch, self._rows[0])))
        in_factors, rows = [], self._rows[: max(1, min(size, len(self._rows)))]
        for rank, row in enumerate(rows):
            part = shard(size, len(rows), rank)
            share = Batch(0, size, batch.images[part], batch.labels[part])
            in_factors.append(compute.gradients_to_add(share, row)[1])
        add = compute.add_gradients
        found["add_gradients"].append(
            _timed(lambda: add(rows, in_factors, self._part, self._total))
        )


def _measure_round(compute: TorchCompute, size: int, gradients: Array, found: Samples) -> None:
    part, long = slice(0, size), compute.attack_method
    batch: Batch = compute.attack(0, part)  # the last round's other sizes are not training's

    def after_an_update(steps: int) -> float:
        found["gradients"].append(_timed(lambda: compute.gradients(batch, gradients)))
        compute.attack_method = replace(long, steps=steps)  # type: ignore[type-var]
        try:
            return _timed(lambda: compute.attack(0, part))
        finally:
            compute.attack_method = long

    short, whole = after_an_update(1), after_an_update(_ATTACK_STEPS)
    step = max(0.0, whole - short) / (_ATTACK_STEPS - 1)
    found["step"].append(step)
    found["prepare"].append(max(0.0, short - step))
    found["whole"].append(whole)
    found["looked"].append(_timed(lambda: compute.attack(0, part, lambda _: None)))
    found["loss"].append(_timed(lambda: compute.loss(batch)))


def measure_weights(compute: TorchCompute) -> dict[str, Duration]:
    """The optimizer's step, and reading and writing all weights."""
    gradients = np.zeros(compute.gradient_count, compute.dtype)
    weights = np.empty(compute.weight_count, compute.dtype)
    actions: dict[str, Callable[[], Any]] = {
        "apply": lambda: compute.apply(gradients),
        "read_weights": lambda: compute.read_weights(weights),
        "write_weights": lambda: compute.write_weights(weights),
    }
    found: Samples = {name: [] for name in actions}
    for turn in range(53):
        for name, action in actions.items():
            seconds = _timed(action)
            if turn >= 3:
                found[name].append(seconds)
    return {name: duration(samples) for name, samples in found.items()}


def measure_steps(compute: TorchCompute, seconds: float) -> list[float]:
    """Step times at one batch size, for so many seconds: for the slowdown."""
    found: Samples = defaultdict(list)
    gradients = np.empty(compute.gradient_count, compute.dtype)
    size = min(_SLOWDOWN_BATCH, compute.rows(0))
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        _measure_round(compute, size, gradients, found)
    return found["step"]


def own_share(compute: FusedCompute, rounds: int = 200) -> tuple[float, float]:
    """Seconds of an attack on one image, and of its gradients, that are not the engine's."""
    part, gradients = slice(0, 1), np.empty(compute.gradient_count, compute.dtype)
    batch = compute.attack(0, part)
    return (
        _beside(compute.engine, "attack", lambda: compute.attack(0, part), rounds),
        _beside(compute.engine, "gradients", lambda: compute.gradients(batch, gradients), rounds),
    )


def _beside(engine: Engine, name: str, action: Callable[[], Any], rounds: int) -> float:
    """The median time of an action, less that of the one call of the engine in it."""
    inner, call = [0.0], getattr(engine, name)

    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        result = call(*arguments, **options)
        inner[0] = time.perf_counter() - began
        return result

    setattr(engine, name, timed)
    try:
        return float(np.median([_timed(action) - inner[0] for _ in range(rounds)]))
    finally:
        delattr(engine, name)


def _timed(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
