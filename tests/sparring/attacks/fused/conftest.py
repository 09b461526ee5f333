"""The attack's own choice of its backend, and a small network that has learned something."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.sparring.attacks.fused.attacking import images
from tests.sparring.compute.fused_training_ranks import small as make


@pytest.fixture(autouse=True)
def open_backend(monkeypatch):
    """The backend is the attack's own choice."""
    monkeypatch.delenv("SPARRING_BACKEND", raising=False)


@pytest.fixture(scope="module")
def trained():
    """A network that has learned something, and images that it has seen."""
    model = make()
    x, y = images(200)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    optimizer.zero_grad()
    assert (model(x).argmax(1) == y).float().mean() > 0.9
    return model
