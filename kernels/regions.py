"""The inputs of a dense layer in tiles, cut into regions that images walk over in turns."""

from __future__ import annotations

from dataclasses import dataclass

from sparring.fused.header import uses_winograd
from sparring.fused.network import Network


@dataclass(frozen=True)
class Regions:
    """As ``cpp/tile_dense.hpp`` cuts them.

    Attributes:
        size: inputs of each, in PyTorch's order.
        count: regions; the last ones may be empty.
        gated: whether inputs that are 0 are left out, since a ReLU closed them.
    """

    size: int
    count: int
    gated: bool

    @classmethod
    def of(cls, network: Network, number: int, lanes: int) -> Regions:
        """Those of the network's dense layer ``number``, counted from 0."""
        inputs = network.dense[number].inputs
        if number > 0 or not network.convolutions:
            size = -(-inputs // lanes) * lanes
            gated = number > 0 and network.dense[number - 1].relu
        else:
            last = network.convolutions[-1]
            plane, gated = last.out_height * last.out_width, last.relu
            if uses_winograd(last):  # a channel's tiles, then the place that is always 0
                return cls(plane, last.out_channels + 1, gated)
            size = -(-plane // lanes) * lanes
        places = (inputs + lanes) // lanes * lanes
        return cls(size, -(-places // size), gated)
