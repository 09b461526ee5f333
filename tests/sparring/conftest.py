"""One thread for PyTorch, no deadlines for hypothesis, and a small network to attack."""

from __future__ import annotations

import hypothesis
import pytest
import torch
from torch import nn

torch.set_num_threads(1)
hypothesis.settings.register_profile("sparring", deadline=None, max_examples=150)
hypothesis.settings.load_profile("sparring")


@pytest.fixture
def model():
    """A float64 network from images (n, 1, 4, 4) to 5 classes."""
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5))
    return layers.double()


@pytest.fixture
def batch():
    """Six images in [0, 1] and their labels."""
    generator = torch.Generator().manual_seed(2)
    x = torch.rand((6, 1, 4, 4), generator=generator, dtype=torch.float64)
    y = torch.randint(0, 5, (6,), generator=generator)
    return x, y
