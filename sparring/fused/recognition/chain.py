"""The network as far as it has been read: what operations and layers append to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from torch import nn

from sparring.fused.folding import BatchNorm
from sparring.fused.network import (
    IMAGE,
    Activation,
    AnyConvolution,
    Convolution,
    Curve,
    Dense,
    Front,
    Network,
)
from sparring.fused.recognition.unsupported import UnsupportedError
from sparring.fused.recognition.values import Value

#: The shape of one image's share of a tensor.
Shape = tuple[int, ...]

#: What an operation or a layer does to a chain, given its input and its own arguments; gives
#: the output's shape.
Link = Callable[..., Shape]


class Chain:
    """Layers, each behind those whose outputs it takes.

    They are numbered as they come, `IMAGE` being before the first. Dense layers come last, and are
    a chain indeed.

    Args:
        shape: (channels, height, width) of an image, or (features,).

    Attributes:
        mean, std: what normalises the images; empty if nothing does.
        front, dense: the layers.
        sources: the layers that each of the front takes.
        shared: those whose outputs are taken more than once: nothing may become part of them.
        parameters: weight and bias of each layer, None where it has no such thing.
        norms: for each layer the batch normalisation that follows it, None where none does.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.mean: tuple[float, ...] = ()
        self.std: tuple[float, ...] = ()
        self.front: list[Front] = []
        self.sources: list[tuple[int, ...]] = []
        self.shared: set[int] = set()
        self.dense: list[Dense] = []
        self.parameters: list[nn.Parameter | None] = []
        self.norms: list[BatchNorm | None] = []

    def network(self) -> Network:
        """The whole network.

        Raises:
            UnsupportedError: if what has been read doesn't end in logits.
        """
        if not self.dense:
            raise UnsupportedError("the model doesn't end in a linear layer")
        if self.dense[-1].relu:
            raise UnsupportedError("a ReLU follows the last linear layer, whose output is logits")
        if self.dense[-1].curve:
            name = self.dense[-1].curve.name
            raise UnsupportedError(
                f"an activation ({name}) follows the last linear layer, whose output is logits"
            )
        self._check_takers()
        plain = all(taken == (number - 1,) for number, taken in enumerate(self.sources))
        sources = () if plain else tuple(self.sources)
        front, dense = tuple(self.front), tuple(self.dense)
        return Network(self._shape, self.mean, self.std, front, dense, sources)

    def _check_takers(self) -> None:
        """Refuse what is no graph of the kernels' (``cpp/graph.hpp``)."""
        takers: dict[int, list[int]] = {n: [] for n in range(IMAGE, len(self.front))}
        for number, sources in enumerate([*self.sources, (len(self.front) - 1,)]):
            for source in sources:
                takers[source].append(number)
        for some in takers.values():
            if not some:
                raise UnsupportedError("the model's forward computes a value that it does not use")
            if len(some) > 2:
                raise UnsupportedError(
                    f"a value is taken by {len(some)} layers; the fused engine takes two at most"
                )
            if len(some) == 2 and all(self._adds(number) for number in some):
                raise UnsupportedError(
                    "a value takes part in two additions; the fused engine takes one"
                )

    def _adds(self, number: int) -> bool:
        return number < len(self.front) and len(self.sources[number]) > 1

    @property
    def last(self) -> int:
        """The layer that came last."""
        return len(self.front) + len(self.dense) - 1

    def own(self, value: Value) -> Front | None:
        """The layer of the front whose output a value is, if nothing else takes that."""
        if not 0 <= value.layer < len(self.front) or value.layer in self.shared:
            return None
        return self.front[value.layer]

    def takes_norm(self, value: Value) -> bool:
        """Whether a value's batch normalisation can be folded into the layer that it comes from."""
        if self.dense:
            dense = self.dense[-1]
            bare = not (dense.relu or dense.curve)
            return bare and value.layer == self.last and self.norms[-1] is None
        layer = self.own(value)
        bare = isinstance(layer, Convolution | AnyConvolution) and not layer.relu and not layer.pool
        return bare and len(value.shape) == 3 and self.norms[value.layer] is None

    def append(self, layer: Front, *inputs: Value) -> Shape:
        """Append a layer without parameters; gives its output's shape."""
        self.link(layer, *inputs)
        self.parameters += (None, None)
        self.norms.append(None)
        return (layer.out_channels, layer.out_height, layer.out_width)

    def link(self, layer: Front, *inputs: Value) -> None:
        """Append a layer whose parameters have been taken."""
        self.front.append(layer)
        self.sources.append(tuple(value.layer for value in inputs))

    def activate(self, curve: Curve, input: Value) -> None:
        """Append an activation."""
        if self.dense:
            if self.dense[-1].relu or self.dense[-1].curve:
                raise UnsupportedError("is the second activation after one linear layer")
            self.dense[-1] = replace(self.dense[-1], curve=curve)
            return
        if input.layer == IMAGE:
            raise UnsupportedError("comes before the first layer")
        last = self.front[input.layer]
        self.append(Activation(curve, last.out_channels, last.out_height, last.out_width), input)

    def take_parameters(self, layer: nn.Conv2d | nn.Linear, shape: Shape) -> None:
        """Append a layer's weight and bias."""
        weight, bias = cast("tuple[object, object]", (layer.weight, layer.bias))
        for name, value, wanted in (("weight", weight, shape), ("bias", bias, shape[:1])):
            if value is None and name == "bias":
                self.parameters.append(None)
                continue
            if not isinstance(value, nn.Parameter):
                raise UnsupportedError(f"has a {name} that is not a parameter")
            if value.shape != wanted or not value.numel():
                raise UnsupportedError(f"has a {name} of shape {tuple(value.shape)}, not {wanted}")
            if any(value is other for other in self.parameters):
                raise UnsupportedError(f"shares its {name} with another layer, or is used twice")
            self.parameters.append(value)
        self.norms.append(None)
