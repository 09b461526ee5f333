"""What stands for tensors and their sizes while a graph is walked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class BatchSize(Enum):
    """The number of images in a batch, which no network may depend on."""

    ANY = "the batch size"


class Value:
    """A tensor that the forward computes; ``shape`` is that of one image's share."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    @property
    def sizes(self) -> tuple[int | BatchSize, ...]:
        """The shape of the whole tensor."""
        return (BatchSize.ANY, *self.shape)


@dataclass(frozen=True)
class Attribute:
    """A parameter, buffer or module that the forward itself reads."""

    name: str
