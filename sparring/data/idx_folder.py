"""A folder that holds the four IDX files of MNIST or of a data set in its form."""

from __future__ import annotations

from pathlib import Path

from sparring.data.dataset import Bytes
from sparring.data.idx import read_idx
from sparring.errors import SparringError

SIDE = 28
CLASSES = 10
#: As their authors name them, without ``.gz``.
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
         "t10k-labels-idx1-ubyte")  # fmt: skip


def is_complete(folder: Path) -> bool:
    """Whether all four files are there, under any of the names in use."""
    return all(
        any(candidate.is_file() for candidate in _candidates(folder, part, kind))
        for part in ("train", "t10k")
        for kind in ("images", "labels")
    )


def read_folder(folder: Path) -> tuple[tuple[Bytes, Bytes], tuple[Bytes, Bytes]]:
    """(images, labels) for training and (images, labels) for testing.

    Args:
        folder: holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
            ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``; a dot may stand in place of
            the hyphen before ``idx``, and ``.gz`` at the end.

    Returns:
        Two pairs of read-only uint8 arrays ``(n, 28, 28)`` and ``(n,)``.

    Raises:
        SparringError: if the folder or a file is missing, or a file is not what it should be.
    """
    if not folder.is_dir():
        raise SparringError(
            f"{folder}: no such folder; expected one with the four files of MNIST: "
            f"{', '.join(f'{file}[.gz]' for file in FILES)}"
        )
    return _read_split(folder, "train"), _read_split(folder, "t10k")


def _read_split(folder: Path, part: str) -> tuple[Bytes, Bytes]:
    image_file, label_file = _find(folder, part, "images"), _find(folder, part, "labels")
    images, labels = read_idx(image_file, dimensions=3), read_idx(label_file, dimensions=1)
    if images.shape[1:] != (SIDE, SIDE):
        height, width = images.shape[1:]
        raise SparringError(
            f"{image_file}: expected images of {SIDE} x {SIDE} pixels, found {height} x {width}"
        )
    if len(images) == 0:
        raise SparringError(f"{image_file}: expected at least one image, found none")
    if len(labels) != len(images):
        raise SparringError(
            f"{label_file}: expected {len(images)} labels, one for each image of "
            f"{image_file.name}, found {len(labels)}"
        )
    if labels.max() >= CLASSES:
        raise SparringError(f"{label_file}: expected labels of 0 to 9, found {labels.max()}")
    return images, labels


def _candidates(folder: Path, part: str, kind: str) -> list[Path]:
    rank = {"images": 3, "labels": 1}[kind]
    return [
        folder / f"{part}-{kind}{separator}idx{rank}-ubyte{suffix}"
        for separator in ("-", ".")
        for suffix in ("", ".gz")
    ]


def _find(folder: Path, part: str, kind: str) -> Path:
    candidates = _candidates(folder, part, kind)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise SparringError(
        f"{folder}: lacks {candidates[0].name}[.gz]; expected the four files of MNIST there: "
        f"{', '.join(f'{file}[.gz]' for file in FILES)}"
    )
