"""Images and labels to train on: MNIST whole or in part, and Fashion-MNIST.

    >>> dataset = load("mnist-5k")
    >>> dataset.train.images(slice(0, 64)).shape
    (64, 1, 28, 28)

NumPy only: a rank that feeds another engine than PyTorch can read the data without it.
"""

from __future__ import annotations

from sparring.data.dataset import Dataset, Split
from sparring.data.registry import NAMES, load

__all__ = ["NAMES", "Dataset", "Split", "load"]
