"""Gradients beside float64's: what is found right, and what is found wrong."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparring.fused.engine import Engine
from sparring.fused.precision import BOUND, measure


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 3))


@pytest.fixture(scope="module")
def served():
    model = small()
    return Engine(model, (1, 3, 4)), model


def test_a_right_kernel_is_acceptable(served):
    errors = measure(*served)
    assert errors.acceptable
    assert 0 < errors.median <= errors.worst < 1e-5
    assert 0 < errors.torch_median < 1e-5
    assert errors.weights is not None
    assert 0 < errors.weights < 1e-5
    assert errors.images == 1 + 3 + 17 + 64


@pytest.mark.parametrize("wrong", [1.01, float("nan")])
@pytest.mark.parametrize("place", [(16, 0, 2, 3), (0, 0, 0, 0)])
def test_a_wrong_place_of_one_batch_is_seen(served, monkeypatch, wrong, place):
    engine, model = served
    right = engine.input_gradient

    def broken(x, labels, objective):
        found = right(x, labels, objective)
        if len(x) == 17:
            found[place] = wrong * (found[place] + found[place[0]].abs().max())
        return found

    monkeypatch.setattr(engine, "input_gradient", broken)
    errors = measure(engine, model)
    assert not errors.acceptable
    assert not errors.worst < BOUND
    assert errors.median < 1e-5


@pytest.mark.parametrize("wrong", [1.01, float("nan")])
def test_wrong_weights_are_seen(served, monkeypatch, wrong):
    engine, model = served
    right = engine.gradients

    def broken(x, labels, scale, out):
        loss = right(x, labels, scale, out)
        out *= wrong
        return loss

    monkeypatch.setattr(engine, "gradients", broken)
    errors = measure(engine, model, [5])
    assert not errors.acceptable
    assert errors.worst < 1e-5


def test_statistics_of_batch_norm_do_something():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(24, 3))
    errors = measure(Engine(model, (1, 4, 5)), model, [3])
    assert model[1].running_mean.abs().min() > 0
    assert errors.acceptable
    assert errors.weights is None
