"""The inputs of a dense layer in tiles, cut into regions that images walk over in turns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.counts.dense_rows import Rows
from kernels.counts.tile.tiles import Tiles
from sparring.fused.network import Network
from sparring.fused.winograd import uses_winograd

#: Bytes of rows that are walked over together, as ``cpp/tile_dense.hpp`` has it.
_SECOND_CACHE = 160 * 1024


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
    def of(cls, network: Network, number: int, lanes: int, registers: int) -> Regions:
        """Those of the network's dense layer ``number``, counted from 0."""
        inputs = network.dense[number].inputs
        if number > 0 or not network.convolutions:
            size = -(-inputs // lanes) * lanes
            gated = number > 0 and network.dense[number - 1].relu
        else:
            last = network.convolutions[-1]
            plane, gated = last.out_height * last.out_width, last.relu
            # As many channels as have rows that fit in a second-level cache together.
            main = sum(Rows.of(network.dense[number], registers).widths)
            together = max(1, _SECOND_CACHE // (4 * plane * main))
            if uses_winograd(last):  # channels' tiles, then the place that is always 0
                return cls(together * plane, last.out_channels // together + 1, gated)
            size = -(-together * plane // lanes) * lanes
        places = (inputs + lanes) // lanes * lanes
        return cls(size, -(-places // size), gated)


def vectors_of_places(network: Network, number: int, lanes: int) -> Tensor:
    """In which vector of places each input of a dense layer stands, ``(inputs,)``, int64.

    As ``FromConvolution`` and ``FromDense`` of ``cpp/tile_chain.hpp`` put them.
    """
    places = torch.arange(network.dense[number].inputs)
    last = network.convolutions[-1] if network.convolutions and number == 0 else None
    if last is None or not uses_winograd(last):
        return places // lanes
    tiles = Tiles.of(last, lanes)
    plane = last.out_height * last.out_width
    channel, y, x = places // plane, places % plane // last.out_width, places % last.out_width
    within = y % tiles.given * tiles.given + x % tiles.given
    tile = y // tiles.given * tiles.across + x // tiles.given
    return (channel * tiles.given**2 + within) * tiles.out + tile // lanes
