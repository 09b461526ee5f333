"""What the small benchmarks share: a trained network, a thread, and the backends that exist.

`make bench` runs them; `make test` does not.
"""

from __future__ import annotations

import pytest
import torch

from sparring import data
from sparring.benchmark import backends, problem

torch.set_num_threads(1)

#: Backends of attacks; the fused one where this version has it.
BACKENDS = ("torch", "fused") if backends.supported() else ("torch",)


@pytest.fixture(scope="session")
def dataset():
    return data.load("mnist-5k")


@pytest.fixture(scope="session")
def model(dataset):
    return problem.trained("study", dataset, seed=0)


@pytest.fixture
def images(dataset):
    """From a number to so many images and labels."""

    def first(count):
        chosen = slice(0, count)
        return (
            torch.from_numpy(dataset.train.images(chosen)),
            torch.from_numpy(dataset.train.labels(chosen)),
        )

    return first
