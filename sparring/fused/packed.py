"""A model's parameters in one flat tensor, as the kernels read them (``cpp/packed.hpp``)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sparring.fused.folding import Folding
from sparring.fused.library import Library, pointers

if TYPE_CHECKING:
    from torch import nn

#: A model's parameters, or tensors of their shapes: None where a layer has no bias.
Tensors = Sequence[Tensor | None]


class PackedSpace:
    """Where each parameter of a network stands in the packed space.

    Tensors given are contiguous float32 ones on the CPU.

    Args:
        library: any layout of the network's kernel.
        parameters: the model's.

    Attributes:
        size: numbers in the packed space.
        segments: each parameter's part of it with the padding behind it; together they are all.
        parts: those that are not empty, as a pooling's are.
    """

    def __init__(self, library: Library, parameters: Sequence[nn.Parameter | None]) -> None:
        self._library, self._parameters = library, parameters
        self.size = library.packed_size
        starts = library.segments(len(parameters))
        self.segments = [slice(a, b) for a, b in pairwise(starts)]
        self.parts = [part for part in self.segments if part.start < part.stop]

    def zeros(self) -> Tensor:
        """A packed space of its own, of zeros."""
        return torch.zeros(self.size, dtype=torch.float32, device="cpu")

    def pack(self, tensors: Tensors, packed: Tensor) -> None:
        """Write tensors of the parameters' shapes to a packed space, and zeros between them."""
        self._library.pack(pointers(tensors), packed)

    def unpack(self, packed: Tensor, tensors: Tensors) -> None:
        """Write to tensors of the parameters' shapes what a packed space holds."""
        self._library.unpack(packed, pointers(tensors))

    def tensors(self, packed: Tensor) -> list[Tensor | None]:
        """New tensors of the parameters' shapes with what a packed space holds."""
        made = [None if p is None else torch.empty_like(p) for p in self._parameters]
        self.unpack(packed, made)
        return made


class ModelWeights:
    """A model's weights in a packed space, repacked where their bits have changed."""

    def __init__(self, space: PackedSpace, library: Library, folding: Folding) -> None:
        self._library, self._folding = library, folding
        self.packed, self._seen = space.zeros(), space.zeros()

    def look(self) -> bool:
        """Take the weights as they are now; returns whether any had changed."""
        self._folding.look()
        return self._library.repack(pointers(self._folding.tensors), self._seen, self.packed) > 0
