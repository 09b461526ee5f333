"""A gallery: images and adversaries before and after adversarial training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import InputError
from harness.tables.table import read_rows

COLUMNS = (
    "schema_version", "training", "image", "label", "clean_class", "clean_probability",
    "adversary_class", "adversary_probability", "epsilon", "attack", "network", "dataset",
    "height", "width", "clean_pixels", "adversary_pixels",
)  # fmt: skip
SCHEMA_VERSION = 1

Pixels = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Picture:
    """One image before one network; pixels of 0 to 1, ``(height, width)``."""

    label: int
    clean: Pixels
    adversary: Pixels
    clean_class: int
    clean_probability: float
    adversary_class: int
    adversary_probability: float


@dataclass(frozen=True)
class Gallery:
    """Pictures by network, and what they are of."""

    path: Path
    pictures: dict[str, tuple[Picture, ...]]
    epsilon: float
    caption: str


def analyse(path: Path) -> Gallery:
    """Read the table that ``python -m sparring gallery`` wrote.

    Raises:
        InputError: if it is no such table.
    """
    rows = read_rows(path, COLUMNS, SCHEMA_VERSION)
    if not rows:
        raise InputError(path, "holds no picture")
    pictures: dict[str, list[Picture]] = {}
    for row in rows:
        pictures.setdefault(str(row["training"]), []).append(
            Picture(
                int(row["label"]), _pixels(path, row, "clean_pixels"),
                _pixels(path, row, "adversary_pixels"), int(row["clean_class"]),
                float(row["clean_probability"]), int(row["adversary_class"]),
                float(row["adversary_probability"]),
            )
        )  # fmt: skip
    last = rows[-1]
    caption = (
        f"{last['dataset']}, network '{last['network']}', {str(last['attack']).replace('_', '-')} "
        f"with epsilon {float(last['epsilon']):g}; perturbations from -epsilon (blue) to epsilon "
        "(red)."
    )
    return Gallery(
        path, {name: tuple(found) for name, found in pictures.items()}, float(last["epsilon"]),
        caption,
    )  # fmt: skip


def _pixels(path: Path, row: dict[str, Any], column: str) -> Pixels:
    height, width = int(row["height"]), int(row["width"])
    try:
        values = np.array([int(v) for v in str(row[column]).split()], float) / 1000
        return values.reshape(height, width)
    except ValueError:
        raise InputError(
            path, f"'{column}' of image {row['image']}: expected {height} x {width} thousandths"
        ) from None
