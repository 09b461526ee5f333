"""The network as far as it has been read: what operations and layers append to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from torch import nn

from sparring.fused.folding import BatchNorm
from sparring.fused.network import Activation, Convolution, Curve, Dense, Front, Network, Pooling
from sparring.fused.recognition.unsupported import UnsupportedError

#: The shape of one image's share of a tensor.
Shape = tuple[int, ...]

#: What an operation or a layer does to a chain, given its input and its own arguments; gives
#: the output's shape.
Link = Callable[..., Shape]


class Chain:
    """Layers with weights, first to last.

    Args:
        shape: (channels, height, width) of an image, or (features,).

    Attributes:
        mean, std: what normalises the images; empty if nothing does.
        front, dense: the layers.
        parameters: weight and bias of each layer, None where it has no such thing.
        norms: for each layer the batch normalisation that follows it, None where none does.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.mean: tuple[float, ...] = ()
        self.std: tuple[float, ...] = ()
        self.front: list[Front] = []
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
        return Network(self._shape, self.mean, self.std, tuple(self.front), tuple(self.dense))

    def bare_shape(self) -> Shape | None:
        """The output's shape of the last layer with weights, if nothing follows it yet."""
        if self.dense:
            dense = self.dense[-1]
            return None if dense.relu or dense.curve else (dense.outputs,)
        last = self.front[-1] if self.front else None
        if not isinstance(last, Convolution) or last.relu or last.pool:
            return None
        return (last.out_channels, last.out_height, last.out_width)

    def append(self, layer: Pooling | Activation) -> Shape:
        """Append a layer without weights; gives its output's shape."""
        self.front.append(layer)
        self.parameters += (None, None)
        self.norms.append(None)
        return (layer.out_channels, layer.out_height, layer.out_width)

    def activate(self, curve: Curve) -> None:
        """Append an activation."""
        if self.dense:
            if self.dense[-1].relu or self.dense[-1].curve:
                raise UnsupportedError("is the second activation after one linear layer")
            self.dense[-1] = replace(self.dense[-1], curve=curve)
            return
        if not self.front:
            raise UnsupportedError("comes before the first layer")
        last = self.front[-1]
        self.append(Activation(curve, last.out_channels, last.out_height, last.out_width))

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
