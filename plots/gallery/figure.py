"""Pictures of images and adversaries, and of perturbations alone."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.gallery.table import Gallery, Picture, Pixels
from plots.shared import captions

CELL = 0.92  # inches
RIGHT, WRONG = "#00795A", "#C14A00"


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
    _write(figure, gallery, 0.15)
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
    _write(figure, gallery, 0.1)
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


def _write(figure: Figure, gallery: Gallery, left: float) -> None:
    """The caption, on one line."""
    width, height = figure.get_size_inches()
    for line in captions.lines(gallery.caption, 100.0):
        figure.text(left / width, 0.08 / height, line, fontsize=captions.SIZE, color="#333333")
