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
from sparring.fused.recognition.branches import branch
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
        norms_before: the same of those that come before it.
        waiting: a batch normalisation for the linear layer that comes next.
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
        self.norms_before: list[BatchNorm | None] = []
        self.waiting: BatchNorm | None = None

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
        if self.waiting is not None:
            raise UnsupportedError(
                "a BatchNorm1d is followed by no linear layer, into which the fused engine folds it"
            )
        self._check_used()
        self._branch()
        plain = all(taken == (number - 1,) for number, taken in enumerate(self.sources))
        sources = () if plain else tuple(self.sources)
        front, dense = tuple(self.front), tuple(self.dense)
        return Network(self._shape, self.mean, self.std, front, dense, sources)

    def _check_used(self) -> None:
        """Refuse a model that computes what it does not use."""
        taken = {source for sources in self.sources for source in sources} | {len(self.front) - 1}
        if not taken >= {*range(IMAGE, len(self.front))}:
            raise UnsupportedError("the model's forward computes a value that it does not use")

    def _branch(self) -> None:
        """Bring branches into the kernels' form (``cpp/graph.hpp``)."""
        if not self.front:
            return
        channels, height, width = self._shape  # rows of features come before linear layers alone
        placed = branch(self.front, self.sources, (channels, height, width))
        if len(placed) == len(self.front):
            return
        old = [one.number for one in placed]
        old += range(len(self.front), len(self.norms))
        both: list[nn.Parameter | None] = []
        for number in old:
            both += (None, None) if number is None else self.parameters[2 * number : 2 * number + 2]
        self.parameters = both
        self.norms = [None if number is None else self.norms[number] for number in old]
        self.norms_before = [
            None if number is None else self.norms_before[number] for number in old
        ]
        self.front = [one.layer for one in placed]
        self.sources = [one.sources for one in placed]

    @property
    def last(self) -> int:
        """The layer that came last."""
        return len(self.front) + len(self.dense) - 1

    def own(self, value: Value) -> Front | None:
        """The layer of the front whose output a value is, if nothing else takes that."""
        if not 0 <= value.layer < len(self.front) or value.layer in self.shared:
            return None
        return self.front[value.layer]

    def check_waiting(self) -> None:
        """Refuse what comes between a batch normalisation and the linear layer that takes it."""
        if self.waiting is not None:
            raise UnsupportedError(
                "follows a BatchNorm1d, which the fused engine folds into the next linear layer"
            )

    def takes_norm(self, value: Value) -> bool:
        """Whether a value's batch normalisation can be folded into the layer that it comes from."""
        if self.dense:
            dense = self.dense[-1]
            bare = not (dense.relu or dense.curve or self.waiting)
            return bare and value.layer == self.last and self.norms[-1] is None
        layer = self.own(value)
        bare = isinstance(layer, Convolution | AnyConvolution) and not layer.relu and not layer.pool
        return bare and len(value.shape) == 3 and self.norms[value.layer] is None

    def append(self, layer: Front, *inputs: Value) -> Shape:
        """Append a layer without parameters; gives its output's shape."""
        self.link(layer, *inputs)
        self.parameters += (None, None)
        self.norms.append(None)
        self.norms_before.append(None)
        return (layer.out_channels, layer.out_height, layer.out_width)

    def link(self, layer: Front, *inputs: Value) -> None:
        """Append a layer whose parameters have been taken."""
        self.front.append(layer)
        self.sources.append(tuple(value.layer for value in inputs))

    def activate(self, curve: Curve, input: Value) -> None:
        """Append an activation."""
        self.check_waiting()
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
        self.norms_before.append(self.waiting)
        self.waiting = None
