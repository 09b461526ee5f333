"""Seconds of one update: the gradients of a minibatch, and their application."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from sparring import PGD
from sparring.batches import Batches
from sparring.compute.fused import compute_for
from sparring.compute.interface import Batch


@pytest.fixture
def compute(backend, model, dataset):
    def optimizer(parameters):
        return torch.optim.SGD(parameters, lr=0.01, momentum=0.5)

    batches = Batches(len(dataset.train), 64, seed=0)
    attack = PGD(epsilon=0.3, step_size=0.02, steps=1)
    own = copy.deepcopy(model)
    return compute_for(backend, own, dataset.train, batches, attack, optimizer)


def batch_of(dataset, size):
    chosen = slice(0, size)
    return Batch(0, size, dataset.train.images(chosen), dataset.train.labels(chosen))


@pytest.mark.parametrize("batch_size", [1, 16, 64, 256])
def test_gradients(benchmark, compute, dataset, batch_size):
    batch = batch_of(dataset, batch_size)
    out = np.empty(compute.gradient_count, compute.dtype)
    benchmark.group = f"gradients, batch {batch_size}, trained weights"
    benchmark.extra_info["images"] = batch_size
    benchmark(compute.gradients, batch, out)
    assert np.isfinite(out).all()


def test_apply(benchmark, compute, dataset):
    out = np.zeros(compute.gradient_count, compute.dtype)
    benchmark.group = "optimizer step"
    benchmark(compute.apply, out)
