"""What the small benchmarks share: a trained network, a thread, and the backends.

`make bench` runs them; `make test` does not.
"""

from __future__ import annotations

import pytest
import torch

from sparring import data
from sparring.backends import BackendError, engine_for
from sparring.benchmark import problem

torch.set_num_threads(1)


@pytest.fixture(params=["torch", "fused"])
def backend(request, model):
    """Each backend; the fused one where there is a compiler for it."""
    try:
        engine_for(request.param, model, torch.zeros(1, 1, 28, 28))
    except BackendError as error:
        pytest.skip(str(error))
    return request.param


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
