"""What stands for tensors and their sizes while a graph is walked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class BatchSize(Enum):
    """The number of images in a batch, which no network may depend on."""

    ANY = "the batch size"


@dataclass
class Storage:
    """What a tensor and its views have in common.

    Attributes:
        layer: whose output stands there; an operation in place puts another one's there.
    """

    layer: int


class Value:
    """A tensor that the forward computes; ``shape`` is that of one image's share."""

    def __init__(self, shape: tuple[int, ...], storage: Storage) -> None:
        self.shape, self.storage = shape, storage

    @property
    def layer(self) -> int:
        """The layer whose output it is."""
        return self.storage.layer

    @property
    def sizes(self) -> tuple[int | BatchSize, ...]:
        """The shape of the whole tensor."""
        return (BatchSize.ANY, *self.shape)


@dataclass(frozen=True)
class Attribute:
    """A parameter, buffer or module that the forward itself reads."""

    name: str
