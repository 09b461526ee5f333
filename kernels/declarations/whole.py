"""The study's whole network: forward, backward, an image's gradient, an attack's step, an update.

With n images of s pixels, P parameters, F the nominal FLOPs of one image in one direction of all
layers, F_1 those of conv1, C = 3 (10 - 1) + 7 + 20 of the cross-entropy's gradient
(`kernels.counts.work.objective`):

    kernel            FLOPs                       bytes
    network_forward   n F                         4 (n (s + 10) + P)
    network_backward  n (2 F - F_1)               4 (n (s + a + 10) + W + P): activations that
                      conv1's input needs no      forward left (a numbers an image), the logits'
                      gradient                    gradients, weights W of all layers but the first
                                                  without biases, gradients of all parameters
    input_gradient    n (2 F + C)                 4 (2 n s + P)
    attack_step       n (2 F + C + 4 s)           4 (3 n s + P): images, centres, new images
    update            n (3 F - F_1 + C) + 2 P     4 (n s + 2 P): old and new parameters

An attack's step is PGD's (L-infinity, cross-entropy), an update plain SGD's on the mean
cross-entropy. It writes the new parameters beside the old ones, so that every call is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the field's own abbreviation)

from kernels.counts.work import FLOAT, STEP, objective
from kernels.declarations import fused
from kernels.declarations.kernel import Case, Inputs, Kernel, Prepared, Variant, torch_variants
from kernels.declarations.study import layer_flops, network, parameters, weight

#: Of the attack's step: its size, and the ball's radius.
STEP_SIZE, EPSILON = 0.02, 0.3
#: Of an update: so large that errors of gradients are seen in the new weights.
LEARNING_RATE = 1.0
PARAMETERS = ("w1", "b1", "w2", "b2", "w3", "b3", "w4", "b4")


def kernels() -> list[Kernel]:
    """All of them."""
    return [
        Kernel(
            name, _inputs, lambda given, name=name: _reference(name, given),  # type: ignore[misc]
            lambda case, name=name: flops(name, case),  # type: ignore[misc]
            lambda case, name=name: compulsory(name, case),  # type: ignore[misc]
            _variants(name),
        )
        for name in _CALLS
    ]  # fmt: skip


def flops(name: str, case: Case) -> float:
    """Nominal; see the head of this module."""
    layers = layer_flops(case.input_size)
    whole, first, n = sum(layers), layers[0], case.batch_size
    own = objective(network(case.input_size).classes)
    pixels = case.input_size**2
    return float(
        {
            "network_forward": n * whole,
            "network_backward": n * (2 * whole - first),
            "input_gradient": n * (2 * whole + own),
            "attack_step": n * (2 * whole + own + STEP * pixels),
            "update": n * (3 * whole - first + own) + 2 * parameters(case.input_size),
        }[name]
    )


def compulsory(name: str, case: Case) -> float:
    """Bytes; see the head of this module."""
    layers, n, pixels = network(case.input_size), case.batch_size, case.input_size**2
    count, classes = parameters(case.input_size), layers.classes
    activations = sum(
        conv.out_channels * conv.conv_height * conv.conv_width for conv in layers.convolutions
    ) + sum(layer.outputs for layer in layers.dense[:-1])
    others = layers.convolutions[1].weights + sum(layer.weights for layer in layers.dense)
    return float(
        FLOAT
        * {
            "network_forward": n * (pixels + classes) + count,
            "network_backward": n * (pixels + activations + classes) + others + count,
            "input_gradient": 2 * n * pixels + count,
            "attack_step": 3 * n * pixels + count,
            "update": n * pixels + 2 * count,
        }[name]
    )


def _inputs(case: Case, generator: torch.Generator) -> dict[str, Tensor]:
    layers, n = network(case.input_size), case.batch_size
    centre = torch.rand(n, *layers.shape, generator=generator)
    noise = EPSILON * (2 * torch.rand(centre.shape, generator=generator) - 1)
    shapes: list[tuple[int, ...]] = [
        (conv.out_channels, conv.in_channels, 5, 5) for conv in layers.convolutions
    ]
    shapes += [(layer.outputs, layer.inputs) for layer in layers.dense]
    made = {
        "x": (centre + noise).clamp(0, 1),
        "centre": centre,
        "labels": torch.randint(0, layers.classes, (n,), generator=generator),
    }
    for number, shape in enumerate(shapes, 1):
        made[f"w{number}"] = weight(shape, generator)
        made[f"b{number}"] = weight(shape, generator).flatten(1)[:, 0].contiguous()
    return made


def _logits(given: Inputs, x: Tensor) -> Tensor:
    x = F.relu(F.conv2d(x, given["w1"], given["b1"]))
    x = F.relu(F.conv2d(x, given["w2"], given["b2"]))
    x = F.relu(F.linear(x.flatten(1), given["w3"], given["b3"]))
    return F.linear(x, given["w4"], given["b4"])


def _forward(given: Inputs) -> Callable[[], Sequence[Tensor]]:
    def run() -> Sequence[Tensor]:
        with torch.no_grad():
            return (_logits(given, given["x"]),)

    return run


def _with_gradients(given: Inputs) -> dict[str, Tensor]:
    return {
        name: tensor.detach().requires_grad_() if name in PARAMETERS else tensor
        for name, tensor in given.items()
    }


def _backward(given: Inputs) -> Callable[[], Sequence[Tensor]]:
    """The loss and what it needs is computed here, once; the gradients in each call."""
    given = _with_gradients(given)
    loss = F.cross_entropy(_logits(given, given["x"]), given["labels"])
    wanted = [given[name] for name in PARAMETERS]
    return lambda: torch.autograd.grad(loss, wanted, retain_graph=True)


def _of_input(given: Inputs) -> Tensor:
    x = given["x"].detach().requires_grad_()
    loss = F.cross_entropy(_logits(given, x), given["labels"], reduction="sum")
    (gradient,) = torch.autograd.grad(loss, x)
    return gradient


def _input_gradient(given: Inputs) -> Callable[[], Sequence[Tensor]]:
    return lambda: (_of_input(given),)


def _attack_step(given: Inputs) -> Callable[[], Sequence[Tensor]]:
    x, centre = given["x"], given["centre"]

    def run() -> Sequence[Tensor]:
        moved = torch.add(x, _of_input(given).sign_(), alpha=STEP_SIZE)
        return (moved.clamp_(centre - EPSILON, centre + EPSILON).clamp_(0, 1),)

    return run


def _update(given: Inputs) -> Callable[[], Sequence[Tensor]]:
    given = _with_gradients(given)
    wanted = [given[name] for name in PARAMETERS]
    values = [tensor.detach() for tensor in wanted]

    def run() -> Sequence[Tensor]:
        loss = F.cross_entropy(_logits(given, given["x"]), given["labels"])
        gradients = torch.autograd.grad(loss, wanted)
        return torch._foreach_add(values, gradients, alpha=-LEARNING_RATE)

    return run


_CALLS: dict[str, Callable[[Inputs], Callable[[], Sequence[Tensor]]]] = {
    "network_forward": _forward, "network_backward": _backward,
    "input_gradient": _input_gradient, "attack_step": _attack_step, "update": _update,
}  # fmt: skip


def _changes(given: Inputs, new: Sequence[Tensor]) -> Sequence[Tensor]:
    """What an update changed: beside the weights themselves an error would not be seen."""
    return [given[name] - tensor for name, tensor in zip(PARAMETERS, new, strict=True)]


def _reference(name: str, given: Inputs) -> Sequence[Tensor]:
    found = _CALLS[name](given)()
    return _changes(given, found) if name == "update" else found


def _variants(name: str) -> dict[str, Variant]:
    found = torch_variants(
        lambda given, case: _prepared(name, given, case, _CALLS[name](given), flops(name, case))
    )
    if name in fused.CALLS:

        def prepare(given: Inputs, case: Case) -> Prepared:
            engine = fused.Fused(given, case)
            run = fused.CALLS[name](engine, (STEP_SIZE, EPSILON, LEARNING_RATE))
            made = _prepared(name, given, case, run, lambda: engine.flops(name), engine.parameters)
            return replace(made, portable=False)

        found["fused"] = Variant(prepare)
    return found


def _prepared(
    name: str,
    given: Inputs,
    case: Case,
    run: Callable[[], Any],
    executed: float | Callable[[], float],
    parameters: Callable[[Any], Sequence[Tensor]] = lambda new: new,
) -> Prepared:
    size = compulsory(name, case)
    if name == "update":
        return Prepared(run, executed, size, lambda new: _changes(given, parameters(new)))
    return Prepared(run, executed, size)
