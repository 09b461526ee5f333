"""The study's network for images of any size: its layers, and as a module."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import nn

from kernels.counts.work import nominal
from kernels.declarations.kernel import Kernel
from sparring.errors import SparringError
from sparring.fused.network import Convolution, Dense, Network

#: Both convolutions take away so many pixels of a side.
_BORDER = 8


@lru_cache(maxsize=64)
def network(size: int) -> Network:
    """The layers: conv 5x5 1->10, conv 5x5 10->20, linear to 50, linear to 10, ReLU between.

    Raises:
        SparringError: if the images are too small.
    """
    if size <= _BORDER:
        raise SparringError(f"input size {size}: the network needs more than {_BORDER} pixels")
    convolutions = (
        Convolution(1, size, size, 10, 5, 0, True, False),
        Convolution(10, size - 4, size - 4, 20, 5, 0, True, False),
    )
    inputs = 20 * (size - _BORDER) ** 2
    return Network(
        (1, size, size), (), (), convolutions, (Dense(inputs, 50, True), Dense(50, 10, False))
    )


def module(size: int) -> nn.Sequential:
    """The network as PyTorch has it; parameters as they happen to be."""
    first, second = network(size).convolutions
    hidden, last = network(size).dense
    return nn.Sequential(
        nn.Conv2d(first.in_channels, first.out_channels, first.kernel), nn.ReLU(),
        nn.Conv2d(second.in_channels, second.out_channels, second.kernel), nn.ReLU(),
        nn.Flatten(), nn.Linear(hidden.inputs, hidden.outputs), nn.ReLU(),
        nn.Linear(last.inputs, last.outputs),
    ).eval()  # fmt: skip


def of_both_layers(kernel: Callable[[int, str], Kernel]) -> list[Kernel]:
    """The kernels of the first and the second layer of a kind, by number and direction."""
    return [
        kernel(number, direction)
        for number in (1, 2)
        for direction in ("forward", "backward_input", "backward_weights")
    ]


def weight(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Random weights in PyTorch's usual range: uniform, up to one over the root of the fan-in."""
    bound = float(torch.Size(shape[1:]).numel() ** -0.5)
    return (2 * torch.rand(shape, generator=generator) - 1) * bound


def layer_flops(size: int) -> list[int]:
    """Nominal operations of one image in each layer, in one direction.

    At 28 pixels: 2 x 24² x 25 x 10 = 288,000; 2 x 20² x 25 x 200 = 4,000,000; 2 x 8000 x 50 =
    800,000; 2 x 50 x 10 = 1000.
    """
    layers = network(size)
    return [*map(nominal, layers.convolutions), *map(nominal, layers.dense)]


def parameters(size: int) -> int:
    """Weights and biases; 405,840 at 28 pixels."""
    layers = network(size)
    return sum(layer.weights + layer.out_channels for layer in layers.convolutions) + sum(
        layer.weights + layer.outputs for layer in layers.dense
    )
