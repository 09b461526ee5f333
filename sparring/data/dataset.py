"""A data set in memory: bytes inside, floating-point images outside."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
#: Which images: their numbers, or a slice of them.
Which = npt.NDArray[np.int64] | list[int] | slice

#: Mean and standard deviation of MNIST's training pixels, as the original study normalised them.
STUDY_MEAN, STUDY_STD = 0.1307, 0.3081

_EVERYTHING = slice(None)


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """The training or the test half of a data set.

    Pixels stay bytes, a quarter of the memory (47 MB for MNIST, which each process holds), and
    become floating-point numbers batch by batch.

    Attributes:
        pixels: the stored images, uint8 ``(n, 28, 28)``.
        classes: the stored labels, uint8 ``(n,)``.
        values: what each byte stands for, float32 ``(256,)``.
    """

    pixels: Bytes
    classes: Bytes
    values: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        return f"Split({len(self)} images)"

    def images(self, which: Which = _EVERYTHING) -> npt.NDArray[np.float32]:
        """A new C-contiguous array of the images asked for, float32 ``(k, 1, 28, 28)``.

        Args:
            which: image numbers from 0, or a slice of them.

        Raises:
            IndexError: if there is no image of some number.
        """
        return self.values.take(self.pixels[which])[:, np.newaxis]

    def labels(self, which: Which = _EVERYTHING) -> npt.NDArray[np.int64]:
        """A new array of the labels asked for, int64 ``(k,)``, each 0 to 9.

        Args:
            which: image numbers from 0, or a slice of them.

        Raises:
            IndexError: if there is no image of some number.
        """
        return self.classes[which].astype(np.int64)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A named pair of splits.

    Attributes:
        name: the name it was loaded by.
        train: the images to train on.
        test: the images to evaluate on.
    """

    name: str
    train: Split
    test: Split

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self.train)} + {len(self.test)} images)"

    @property
    def bounds(self) -> tuple[float, float]:
        """The valid pixel range (low, high): (0, 1), or what normalisation makes of it.

        Both ends are float32 values, so that no float32 image is outside by a rounding error.
        """
        return float(self.train.values[0]), float(self.train.values[-1])

    @cached_property
    def digest(self) -> str:
        """The letter d and 12 hexadecimal digits of the SHA-256 of the stored bytes.

        The same whatever the normalisation.
        """
        sha = hashlib.sha256()
        for split in (self.train, self.test):
            sha.update(f"{len(split)} ".encode())
            sha.update(np.ascontiguousarray(split.pixels).data)
            sha.update(np.ascontiguousarray(split.classes).data)
        return "d" + sha.hexdigest()[:12]


def pixel_values(normalize: bool) -> npt.NDArray[np.float32]:
    """What each of the 256 bytes stands for, float32 ``(256,)``, ascending.

    Args:
        normalize: false for byte / 255; true for the study's (byte / 255 - 0.1307) / 0.3081.
    """
    values = np.arange(256) / 255
    if normalize:
        values = (values - STUDY_MEAN) / STUDY_STD
    return values.astype(np.float32)
