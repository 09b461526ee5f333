"""Catastrophic overfitting is seen while it happens."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

import sparring
from sparring.errors import SparringError
from sparring.overfitting import CatastrophicOverfitting


class OneStepProof(nn.Module):
    """A network that full steps of epsilon 0.3 do not fool and smaller ones do.

    Class 0 wins where the mean pixel is below 0.25 or above 0.75 of the way to 0.3, whence its
    gradient at a black image points across the gap.
    """

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        mean = x.flatten(1).mean(1)
        lead = (mean - 0.08) * (mean - 0.22) * self.scale
        return torch.stack([lead, -lead], 1)


class Robust(nn.Module):
    """A network that no step fools."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        lead = 1.0 + 0.1 * x.flatten(1).mean(1) * self.scale
        return torch.stack([lead, -lead], 1)


def fit(model, guard, attack=None):
    data = torch.zeros((32, 1, 4, 4)), torch.zeros(32, dtype=torch.int64)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    trainer = sparring.Trainer(
        model, optimizer, data, attack or sparring.FGSM(0.3, backend="torch"), batch_size=8,
        backend="torch",
    )  # fmt: skip
    trainer.fit(updates=6, overfitting=guard)
    return guard


def test_it_warns_once_and_keeps_what_it_saw(caplog):
    guard = CatastrophicOverfitting("warn", interval=2, images=16)
    with caplog.at_level(logging.WARNING, logger="sparring.overfitting"):
        fit(OneStepProof(), guard)
    assert [updates for updates, _, _ in guard.looks] == [2, 4, 6]
    assert all(single == 1.0 and many == 0.0 for _, single, many in guard.looks)
    assert len(caplog.records) == 1
    assert "catastrophic overfitting after 2 updates" in caplog.text


def test_it_stops():
    with pytest.raises(SparringError, match="catastrophic overfitting after 2 updates"):
        fit(OneStepProof(), CatastrophicOverfitting("stop", interval=2, images=16))


def test_a_robust_network_goes_on(caplog):
    guard = fit(Robust(), CatastrophicOverfitting("stop", interval=3, images=16))
    assert guard.looks == [(3, 1.0, 1.0), (6, 1.0, 1.0)]
    assert not caplog.records


def test_it_needs_an_epsilon_and_a_known_consequence():
    with pytest.raises(SparringError, match="under attacks with epsilon"):
        fit(Robust(), CatastrophicOverfitting(interval=1), sparring.GradientAscent(steps=1))
    with pytest.raises(SparringError, match="then must be one of warn, stop"):
        CatastrophicOverfitting("panic")
