"""Where an attack's random numbers come from: never from a global generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sparring.randomness import ImageStreams


@runtime_checkable
class RandomSource(Protocol):
    """Anything that can draw noise for a batch; ``shape[0]`` counts the images."""

    def uniform(
        self,
        shape: Sequence[int],
        low: float,
        high: float,
        dtype: torch.dtype,
        device: torch.device,
    ) -> Tensor:
        """Numbers uniform in [low, high)."""

    def normal(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Standard normal numbers."""


@dataclass(frozen=True)
class TorchSource:
    """Noise from one ``torch.Generator``, drawn on its device and moved where it is wanted."""

    generator: torch.Generator

    def uniform(
        self,
        shape: Sequence[int],
        low: float,
        high: float,
        dtype: torch.dtype,
        device: torch.device,
    ) -> Tensor:
        """See ``RandomSource``."""
        unit = torch.rand(
            tuple(shape), generator=self.generator, dtype=dtype, device=self.generator.device
        )
        return (low + (high - low) * unit).to(device)

    def normal(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """See ``RandomSource``."""
        return torch.randn(
            tuple(shape), generator=self.generator, dtype=dtype, device=self.generator.device
        ).to(device)


class FreshSource(TorchSource):
    """The same, of a generator that the operating system seeds, made when first drawn from."""

    def __init__(self) -> None: ...

    @cached_property
    def generator(self) -> torch.Generator:
        """A generator of its own."""
        generator = torch.Generator()
        generator.seed()
        return generator


@dataclass(frozen=True)
class KeyedSource:
    """Noise from one stream an image, so that a split batch sees the noise of the whole.

    The numbers are drawn in float64 and rounded: runs of different dtype start alike.
    """

    streams: ImageStreams

    def uniform(
        self,
        shape: Sequence[int],
        low: float,
        high: float,
        dtype: torch.dtype,
        device: torch.device,
    ) -> Tensor:
        """See ``RandomSource``."""
        return torch.from_numpy(self.streams.uniform(shape, low, high)).to(device, dtype)

    def normal(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """See ``RandomSource``."""
        return torch.from_numpy(self.streams.normal(shape)).to(device, dtype)


def as_source(generator: object) -> RandomSource:
    """The source behind the ``generator`` argument of an attack.

    None means a fresh generator, seeded by the operating system: two calls differ, and
    ``torch.manual_seed`` neither makes them agree nor is disturbed by them.

    Raises:
        ValueError: if it is none of a torch.Generator, a RandomSource and None.
    """
    if generator is None:
        return FreshSource()
    if isinstance(generator, torch.Generator):
        return TorchSource(generator)
    if isinstance(generator, KeyedSource):  # to compare with a protocol takes a while
        return generator
    # ImageStreams has methods of the protocol's names, but gives NumPy arrays.
    if not isinstance(generator, ImageStreams) and isinstance(generator, RandomSource):
        return generator
    raise ValueError(
        "generator must be a torch.Generator, a RandomSource such as KeyedSource(streams), or "
        f"None, not a {type(generator).__name__}"
    )
