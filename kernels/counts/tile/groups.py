"""What images compute that walk over the rows of a dense layer together.

Counted in ``cpp/tile_dense.hpp``: of all images of a group.
"""

from __future__ import annotations

from collections.abc import Iterator

from kernels.counts.dense_rows import Rows
from kernels.counts.sparsity import Group
from kernels.counts.tile.tiles import vectors

#: Registers for sums.
_ROOM = 24


def padded(group: Group, lanes: int) -> int:
    """Inputs on the group's list, with those that fill it up to whole vectors."""
    return vectors(group.rows, lanes) * lanes


def forward(rows: Rows, group: Group, lanes: int) -> float:
    """Operations from inputs to outputs: each row times each image's input."""
    flops = 0.0
    for panel, width in enumerate(rows.widths):
        for at, part in _parts(width // lanes, _ROOM // group.images):
            tail = rows.tail_lanes if panel == 0 and at == 0 else 0
            sums = part * group.images
            further = (1 if sums >= 8 else 2 if sums >= 4 else 4) - 1
            flops += (2 * padded(group, lanes) + further) * (part * lanes + tail)
    return flops * group.images


def backward(rows: Rows, group: Group, lanes: int) -> float:
    """Operations back: rows times vectors of images and outputs, then the sums over outputs.

    None of images that walk back apart.
    """
    if group.apart:
        return 0.0
    images = 4 if group.images <= 4 else 8
    outputs = lanes // images
    products = 0
    for panel, width in enumerate(rows.widths):
        for at, part in _parts(width // outputs, _ROOM):
            tail = rows.tail // min(rows.tail, outputs) if rows.tail and panel + at == 0 else 0
            products += 2 * (part + tail) + min(part, 4) - 1
    return lanes * (group.rows * products + group.vectors * (lanes - images))


def _parts(count: int, most: int) -> Iterator[tuple[int, int]]:
    """Where each part of so many vectors begins, and its size: nearly equal ones."""
    size = vectors(count, vectors(count, most))
    yield from ((at, min(size, count - at)) for at in range(0, count, size))
