"""Pictures of images and adversaries before and after adversarial training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.errors import InputError
from harness.tables.table import read_rows
from plots.shared import files

REQUIRED = (
    "schema_version", "training", "image", "label", "clean_class", "clean_probability",
    "adversary_class", "adversary_probability", "epsilon", "attack", "network", "dataset",
    "height", "width", "clean_pixels", "adversary_pixels",
)  # fmt: skip
SCHEMA_VERSION = 1
CELL = 0.92  # inches
RIGHT, WRONG = "#00795A", "#C14A00"

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


def load(path: Path) -> Gallery:
    """Read the table that ``python -m sparring gallery`` wrote.

    Raises:
        InputError: if it is no such table.
    """
    rows = read_rows(path, REQUIRED, SCHEMA_VERSION)
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


def save(gallery: Gallery, folder: Path) -> list[Path]:
    """Write ``<table>.svg`` and ``.png``, and ``<table>_perturbations`` likewise."""
    written = []
    for suffix, draw in _figures().items():
        name = f"{gallery.path.stem}{suffix}"
        written += files.save(partial(draw, gallery), folder, name)
    return written


def svgs(gallery: Gallery) -> dict[str, str]:
    """Both figures as SVG text without a date, by name."""
    return {
        f"{gallery.path.stem}{suffix}": files.as_svg(partial(draw, gallery))
        for suffix, draw in _figures().items()
    }


def _figures() -> dict[str, Callable[[Gallery], Figure]]:
    """What a figure's name adds to the table's, and who draws it."""
    return {"": draw_pictures, "_perturbations": draw_perturbations}


def draw_pictures(gallery: Gallery) -> Figure:
    """A row an image; for each network the image, the perturbation and the adversary."""
    names = list(gallery.pictures)
    rows = max(len(found) for found in gallery.pictures.values())
    columns = 3 * len(names)
    width = 0.3 + columns * CELL + 0.25 * (len(names) - 1)
    height = 0.55 + rows * (CELL + 0.22) + 0.3
    figure = Figure(figsize=(width, height))
    for block, name in enumerate(names):
        left = 0.15 + block * (3 * CELL + 0.25)
        figure.text((left + 1.5 * CELL) / width, 1 - 0.13 / height, _title(name), ha="center",
                    va="top", fontsize=8.5, weight="bold")  # fmt: skip
        for column, title in enumerate(("image", "perturbation", "adversary")):
            figure.text((left + (column + 0.5) * CELL) / width, 1 - 0.33 / height, title,
                        ha="center", va="top", fontsize=7)  # fmt: skip
        for index, picture in enumerate(gallery.pictures[name]):
            base = height - 0.55 - (index + 1) * (CELL + 0.22) + 0.2
            axes = [
                figure.add_axes((
                    (left + column * CELL + 0.03) / width, base / height, (CELL - 0.06) / width,
                    (CELL - 0.06) / height,
                ))
                for column in range(3)
            ]  # fmt: skip
            _draw_triple(axes, picture, gallery.epsilon)
    figure.text(0.15 / width, 0.08 / height, gallery.caption, fontsize=6.3, color="#333333")
    return figure


def draw_perturbations(gallery: Gallery) -> Figure:
    """What each network makes the attack paint: perturbations of the same images side by side."""
    names = list(gallery.pictures)
    columns = max(len(found) for found in gallery.pictures.values())
    width, height = 1.35 + columns * CELL, 0.25 + (len(names) + 1) * CELL + 0.3
    figure = Figure(figsize=(width, height))
    first = gallery.pictures[names[0]]
    rows: list[tuple[str, Sequence[Pixels]]] = [("image", [p.clean for p in first])]
    rows += [
        (_title(name), [p.adversary - p.clean for p in gallery.pictures[name]]) for name in names
    ]
    for row, (title, images) in enumerate(rows):
        base = height - 0.2 - (row + 1) * CELL
        figure.text(1.25 / width, (base + CELL / 2) / height, title.replace(" ", "\n", 1),
                    ha="right", va="center", fontsize=7.5)  # fmt: skip
        for column, image in enumerate(images):
            axis = figure.add_axes((
                (1.35 + column * CELL) / width, base / height, (CELL - 0.06) / width,
                (CELL - 0.06) / height,
            ))  # fmt: skip
            _show(axis, image, None if row == 0 else gallery.epsilon)
    figure.text(0.1 / width, 0.08 / height, gallery.caption, fontsize=6.3, color="#333333")
    return figure


def _title(name: str) -> str:
    return {"before": "before adversarial training", "after": "after adversarial training"}.get(
        name, name
    )


def _draw_triple(axes: Sequence[Axes], picture: Picture, epsilon: float) -> None:
    _show(axes[0], picture.clean, None)
    _show(axes[1], picture.adversary - picture.clean, epsilon)
    _show(axes[2], picture.adversary, None)
    _judgement(axes[0], picture.clean_class, picture.clean_probability, picture.label)
    _judgement(axes[2], picture.adversary_class, picture.adversary_probability, picture.label)


def _show(axis: Axes, image: Pixels, epsilon: float | None) -> None:
    if epsilon is None:
        axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    else:
        axis.imshow(image, cmap="RdBu_r", vmin=-epsilon, vmax=epsilon, interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(True)
        spine.set_linewidth(0.4)
        spine.set_color("#999999")


def _judgement(axis: Axes, found: int, probability: float, label: int) -> None:
    axis.text(0.5, -0.04, f"{found}: {100 * probability:.1f} %", transform=axis.transAxes,
              ha="center", va="top", fontsize=6.6, color=RIGHT if found == label else WRONG,
              weight="normal" if found == label else "bold")  # fmt: skip
