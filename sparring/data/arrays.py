"""A user's own images as something to train on."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sparring.data.dataset import Which
from sparring.errors import SparringError


@runtime_checkable
class Images(Sized, Protocol):
    """What training needs of data: `sparring.data.dataset.Split` is one."""

    def images(self, which: Which = ...) -> npt.NDArray[Any]:
        """Images of these numbers, floating point ``(k, channels, height, width)``."""

    def labels(self, which: Which = ...) -> npt.NDArray[np.int64]:
        """Their labels, int64 ``(k,)``."""


def check_images(images: npt.NDArray[Any]) -> None:
    """Floating point: bytes would be trained on as 0 to 255, whatever range an attack knows.

    Raises:
        SparringError: if they are not.
    """
    if images.dtype.kind != "f":
        raise SparringError(
            f"images must be floating point, not {images.dtype}; expected pixels within the "
            "attack's bounds, such as images / 255"
        )


def check_labels(labels: npt.NDArray[Any]) -> None:
    """Integers ``(n,)``: a fraction would be cut off.

    Raises:
        SparringError: if they are not.
    """
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise SparringError(
            f"labels must be integers of shape (n,), not {labels.dtype} of shape {labels.shape}"
        )


class ArrayImages:
    """Images and labels that lie in memory.

    Args:
        images: ``(n, ...)``, floating point.
        labels: ``(n,)``, integers.

    Raises:
        SparringError: if they are not of these kinds or of unequal number.
    """

    def __init__(self, images: npt.ArrayLike, labels: npt.ArrayLike) -> None:
        self._images, self._labels = as_array(images), as_array(labels)
        check_images(self._images)
        check_labels(self._labels)
        if len(self._images) != len(self._labels):
            raise SparringError(
                f"there are {len(self._images)} images and {len(self._labels)} labels; expected as "
                "many of both"
            )

    def __len__(self) -> int:
        return len(self._labels)

    def images(self, which: Which = slice(None)) -> npt.NDArray[Any]:
        """See `Images`."""
        return np.ascontiguousarray(self._images[which])

    def labels(self, which: Which = slice(None)) -> npt.NDArray[np.int64]:
        """See `Images`."""
        return self._labels[which].astype(np.int64)


class ItemImages:
    """A map-style data set of (image, label) pairs, as ``torch.utils.data.Dataset`` is."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def images(self, which: Which = slice(None)) -> npt.NDArray[Any]:
        """See `Images`."""
        numbers = self._numbers(which)
        # Of no image, the shape and the type of one.
        found = np.stack([as_array(self._items[i][0]) for i in numbers or [0]])
        return found[: len(numbers)]

    def labels(self, which: Which = slice(None)) -> npt.NDArray[np.int64]:
        """See `Images`."""
        numbers = self._numbers(which)
        labels = np.array([as_array(self._items[i][1]) for i in numbers or [0]])
        check_labels(labels)
        return labels[: len(numbers)].astype(np.int64)

    def _numbers(self, which: Which) -> list[int]:
        if isinstance(which, slice):
            return list(range(len(self))[which])
        return [int(i) for i in which]


def as_array(values: Any) -> npt.NDArray[Any]:
    """An array or a tensor as an array that PyTorch takes in turn.

    A tensor's history of gradients is left out; types that the other side lacks become wider
    (bfloat16) or narrower (long double), and bytes are put in this machine's order.
    """
    if hasattr(values, "detach"):  # a tensor
        values = values.detach().cpu()
        try:
            array = np.asarray(values)
        except TypeError:
            array = np.asarray(values.float())
    else:
        array = np.asarray(values)
    if array.dtype.kind == "f" and array.itemsize > 8:
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def as_split(data: object) -> Images:
    """Anything that can be trained on, as `Images`.

    Raises:
        SparringError: if it cannot.
    """
    if isinstance(data, Images):
        return data
    if isinstance(data, tuple) and len(data) == 2:
        return ArrayImages(*data)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return ItemImages(data)
    raise SparringError(
        "data must be a sparring.data.Dataset, a pair (images, labels) or a map-style data set, "
        f"not a {type(data).__name__}"
    )
