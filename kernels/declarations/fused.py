"""The fused engine's variant of whole kernels; ``python -m kernels stages`` times its stages.

Executed FLOPs are those of its source (`kernels.counts.accounting`, `kernels.counts.weight_work`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from kernels.counts import weight_work
from kernels.counts.accounting import attack_step
from kernels.counts.sparsity import alive
from kernels.counts.work import Shape
from kernels.declarations.kernel import Case, Inputs
from kernels.declarations.study import module, network, parameters
from sparring.fused.engine import OBJECTIVE_NUMBERS, RULE_NUMBERS, Engine
from sparring.fused.layouts import layouts, plan
from sparring.fused.library import Settings
from sparring.fused.machine import machine_isa


class Fused:
    """The engine of the study's network with given weights.

    Raises:
        SparringError: if it cannot be built here.
    """

    def __init__(self, given: Inputs, case: Case) -> None:
        self.x, self.centre, self.labels = given["x"], given["centre"], given["labels"]
        self.case = case
        weights = [given[f"{kind}{n}"] for n in (1, 2, 3, 4) for kind in "wb"]
        self.model, self.engine = _made(case.input_size, weights)

    def parameters(self, packed: Tensor) -> list[Tensor]:
        """What `_update` gives, as tensors in the model's order."""
        found = zip(self.engine.parameters, self.engine.space.tensors(packed), strict=True)
        by_parameter = {id(parameter): tensor for parameter, tensor in found}
        return [
            tensor for p in self.model.parameters() if (tensor := by_parameter[id(p)]) is not None
        ]

    def flops(self, name: str) -> float:
        """Executed in a call, by the layouts that the engine takes for so many images."""
        layers, isa, threads = self.engine.network, machine_isa(), torch.get_num_threads()
        kinds, found = layouts(isa), 0.0
        for piece in plan(len(self.x), threads, kinds):
            x, labels = self.x[piece.images], self.labels[piece.images]
            images = len(x)
            shape = Shape.of(kinds[piece.layout], isa, layers, images, threads)
            if name == "update":  # goes block by block through all layers
                shape = replace(shape, blocks=1)
            matters = alive(self.model, layers, self.engine.parameters, x, labels, shape)
            if name == "network_forward":
                found += weight_work.forward(layers, shape, images, matters)
            elif name == "update":
                found += weight_work.gradients(layers, shape, images, matters)
            else:
                found += attack_step(layers, shape, images, 1, matters)[-1].flops
                if name == "input_gradient":
                    found -= weight_work.step(layers, shape, images)
        return found + (2 * parameters(self.case.input_size) if name == "update" else 0)


class TrustedEngine(Engine):
    """One that another process has checked: under Valgrind float64 takes longer than all else."""

    def _check(self, model: nn.Module) -> None:
        pass


def trust_engines() -> None:
    """Make no engine of this process check itself."""
    global _engine
    _engine = TrustedEngine


_engine: type[Engine] = Engine
#: The engines made last, with their models; to make one takes a while, above all under Valgrind.
_last: deque[tuple[int, nn.Module, Engine]] = deque(maxlen=4)


def _made(size: int, weights: Sequence[Tensor]) -> tuple[nn.Module, Engine]:
    """A model of these weights and its engine, which no one may change."""
    for made_size, model, engine in _last:
        if made_size == size and all(map(torch.equal, model.parameters(), weights)):
            return model, engine
    model = module(size)
    with torch.no_grad():
        for own, value in zip(model.parameters(), weights, strict=True):
            own.copy_(value)
    engine = _engine(model, network(size).shape)
    _last.append((size, model, engine))
    return model, engine


#: Step size, epsilon, learning rate.
Sizes = tuple[float, float, float]


def _forward(fused: Fused, sizes: Sizes) -> Callable[[], Tensor]:
    return lambda: fused.engine.logits(fused.x)


def _input_gradient(fused: Fused, sizes: Sizes) -> Callable[[], Tensor]:
    goal = OBJECTIVE_NUMBERS["cross_entropy"]
    return lambda: fused.engine.input_gradient(fused.x, fused.labels, goal)


def _attack_step(fused: Fused, sizes: Sizes) -> Callable[[], Tensor]:
    size, epsilon, _ = sizes
    settings = Settings(
        RULE_NUMBERS["sign"], OBJECTIVE_NUMBERS["cross_entropy"], size, epsilon, 0.0, 1.0
    )
    return lambda: fused.engine.attack(fused.x, fused.centre, fused.labels, settings, 1)[0]


def _update(fused: Fused, sizes: Sizes) -> Callable[[], Tensor]:
    """Weights after an update, in the packed space, where they are trained."""
    space = fused.engine.space
    values, gradients = space.zeros(), space.zeros()
    space.pack(fused.engine.parameters, values)

    def run() -> Tensor:
        fused.engine.gradients(fused.x, fused.labels, 1 / len(fused.x), gradients)
        return values.add(gradients, alpha=-sizes[2])

    return run


#: By the kernel's name.
CALLS: Mapping[str, Callable[[Fused, Sizes], Callable[[], object]]] = MappingProxyType(
    {
        "network_forward": _forward, "input_gradient": _input_gradient,
        "attack_step": _attack_step, "update": _update,
    }
)  # fmt: skip
