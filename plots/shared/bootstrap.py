"""The bootstrap over whole launches, and the interval of a share.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.tables.statistics import CONFIDENCE

DRAWS = 2000

Floats = NDArray[np.float64]


def generator(*labels: object) -> np.random.Generator:
    """Random numbers that depend on nothing but the labels."""
    return np.random.default_rng(zlib.crc32(repr(labels).encode()))


def resampled_medians(launches: Sequence[float], random: np.random.Generator) -> Floats:
    """Medians of `DRAWS` resamples of the launches, with replacement, in their unit."""
    samples = np.asarray(launches, dtype=np.float64)
    picks = random.integers(0, len(samples), size=(DRAWS, len(samples)))
    return np.asarray(np.median(samples[picks], axis=1), dtype=np.float64)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share that was counted on so many (Wilson, JASA 22, 1927)."""
    z = 1.96
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = (
        z
        / (1 + z * z / count)
        * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    )
    return centre - half, centre + half


def percentile_interval(values: Floats) -> tuple[float, float]:
    """The central interval of bootstrap draws."""
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)
