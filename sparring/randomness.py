"""Everything random is keyed by (seed, epoch, image), never by rank or number of processes.

A draw is a pure function of its key, whoever makes it: splitting a batch over ranks in any way
leaves every image with the numbers it would have had in a sequential run. The streams are
counter-based (Philox4x64-10: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
1, 2, 3", SC'11), so that a stream for each image costs a key and no state kept between batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_SEED_BITS, _EPOCH_BITS, _IMAGE_BITS = 64, 24, 32
MOST_SEED = (1 << _SEED_BITS) - 1


class _Domain(IntEnum):
    """What a stream is for; part of the key, so that no two purposes share a stream."""

    PERMUTATION = 1
    NOISE = 2


def check_seed(seed: int) -> None:
    """0 to `MOST_SEED`.

    Raises:
        ValueError: if it is not.
    """
    _check("seed", seed, _SEED_BITS)


def _check(name: str, value: int, bits: int) -> None:
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{name} must be in 0 .. 2**{bits} - 1, not {value}")


def _stream(domain: _Domain, seed: int, epoch: int, image: int = 0) -> np.random.Philox:
    """The stream of one key: different keys, different streams, since the packing is one-to-one."""
    _check("seed", seed, _SEED_BITS)
    _check("epoch", epoch, _EPOCH_BITS)
    _check("image", image, _IMAGE_BITS)
    low = (domain << _EPOCH_BITS | epoch) << _IMAGE_BITS | image
    return np.random.Philox(key=np.array([seed, low], dtype=np.uint64))


def permutation(seed: int, epoch: int, n: int) -> Indices:
    """A uniformly random order of ``0 .. n - 1``, int64 ``(n,)``.

    It sorts raw 64-bit words, whose stream NumPy guarantees never to change; the algorithm of
    ``Generator.permutation`` carries no such promise (NEP 19).

    Args:
        seed: 0 .. 2**64 - 1.
        epoch: 0 .. 2**24 - 1; every epoch has its own order.
        n: how many items to order.

    Raises:
        ValueError: if seed or epoch is outside its range.
    """
    words = _stream(_Domain.PERMUTATION, seed, epoch).random_raw(n)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


class ImageStreams:
    """One independent random stream for each image of a batch.

    Row ``i`` of every draw depends only on the key (seed, epoch, image i) and on what was drawn
    for that image before; which other images are in the batch makes no difference.

    Args:
        seed: 0 .. 2**64 - 1.
        epoch: 0 .. 2**24 - 1.
        images: the images' numbers in the data set, each 0 .. 2**32 - 1.

    Raises:
        ValueError: if a number is outside its range.
    """

    def __init__(self, seed: int, epoch: int, images: Sequence[int] | Indices) -> None:
        _check("seed", seed, _SEED_BITS)
        _check("epoch", epoch, _EPOCH_BITS)
        self._seed, self._epoch, self._images = seed, epoch, np.asarray(images).tolist()
        for image in (min(self._images, default=0), max(self._images, default=0)):
            _check("image", image, _IMAGE_BITS)

    @cached_property
    def _generators(self) -> list[np.random.Generator]:
        # Not before the first draw: an attack without noise makes none of them.
        return [
            np.random.Generator(_stream(_Domain.NOISE, self._seed, self._epoch, image))
            for image in self._images
        ]

    def __len__(self) -> int:
        return len(self._images)

    def uniform(self, shape: Sequence[int], low: float, high: float) -> Floats:
        """Numbers uniform in [low, high), float64 of ``shape``; ``shape[0]`` is ``len(self)``."""
        return low + (high - low) * self._draw(shape, lambda g, row: g.random(row))

    def normal(self, shape: Sequence[int]) -> Floats:
        """Standard normal numbers, float64 of ``shape``; ``shape[0]`` is ``len(self)``."""
        return self._draw(shape, lambda g, row: g.standard_normal(row))

    def _draw(
        self,
        shape: Sequence[int],
        draw: Callable[[np.random.Generator, tuple[int, ...]], Floats],
    ) -> Floats:
        rows, *row = shape
        if rows != len(self):
            raise ValueError(f"shape must begin with {len(self)}, one row an image, not {rows}")
        numbers = np.empty(tuple(shape))
        for i, generator in enumerate(self._generators):
            numbers[i] = draw(generator, tuple(row))
        return numbers
