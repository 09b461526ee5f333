"""Pictures of images and adversaries, and of perturbations alone."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.gallery.table import Gallery, Picture, Pixels
from plots.shared import layout, style

CELL = 0.92  # inches, at most
LABELS, NARROW = 1.35, 0.85  # inches beside the perturbations, on two columns and on one
RIGHT, WRONG = "#00795A", "#C14A00"


def draw_pictures(gallery: Gallery, width: float = style.TWO) -> Figure:
    """A row an image; for each network the image, the perturbation and the adversary."""
    names = list(gallery.pictures)
    rows = max(len(found) for found in gallery.pictures.values())
    across = 1 if layout.is_narrow(width) else len(names)
    cell = min(CELL, ((width - 0.3 - 0.25 * (across - 1)) / across) / 3)
    block_height = 0.55 + rows * (cell + 0.22)
    width = 0.3 + across * (3 * cell + 0.25) - 0.25
    height = block_height * (len(names) // across) + 0.05
    figure = Figure(figsize=(width, height))
    for block, name in enumerate(names):
        left = 0.15 + (block % across) * (3 * cell + 0.25)
        top = height - (block // across) * block_height
        figure.text((left + 1.5 * cell) / width, (top - 0.13) / height, _title(name), ha="center",
                    va="top", fontsize=8.5, weight="bold")  # fmt: skip
        for column, title in enumerate(("image", "perturbation", "adversary")):
            figure.text((left + (column + 0.5) * cell) / width, (top - 0.33) / height, title,
                        ha="center", va="top", fontsize=7)  # fmt: skip
        for index, picture in enumerate(gallery.pictures[name]):
            base = top - 0.55 - (index + 1) * (cell + 0.22) + 0.2
            axes = [
                figure.add_axes((
                    (left + column * cell + 0.03) / width, base / height, (cell - 0.06) / width,
                    (cell - 0.06) / height,
                ))
                for column in range(3)
            ]  # fmt: skip
            _draw_triple(axes, picture, gallery.epsilon)
    return figure


def draw_perturbations(gallery: Gallery, width: float = style.TWO) -> Figure:
    """What each network makes the attack paint: perturbations of the same images side by side."""
    names = list(gallery.pictures)
    columns = max(len(found) for found in gallery.pictures.values())
    narrow = layout.is_narrow(width)
    labels = NARROW if narrow else LABELS
    cell = min(CELL, (width - labels) / columns)
    width, height = labels + columns * cell, 0.1 + (len(names) + 1) * cell
    figure = Figure(figsize=(width, height))
    first = gallery.pictures[names[0]]
    rows: list[tuple[str, Sequence[Pixels]]] = [("image", [p.clean for p in first])]
    rows += [
        (_title(name), [p.adversary - p.clean for p in gallery.pictures[name]]) for name in names
    ]
    for row, (title, images) in enumerate(rows):
        base = height - 0.05 - (row + 1) * cell
        figure.text((labels - 0.08) / width, (base + cell / 2 - 0.03) / height,
                    title.replace(" ", "\n", -1 if narrow else 1), ha="right", va="center",
                    fontsize=6.2 if narrow else 7.5)  # fmt: skip
        for column, image in enumerate(images):
            axis = figure.add_axes((
                (labels + column * cell) / width, base / height, (cell - 0.06) / width,
                (cell - 0.06) / height,
            ))  # fmt: skip
            _show(axis, image, None if row == 0 else gallery.epsilon)
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
