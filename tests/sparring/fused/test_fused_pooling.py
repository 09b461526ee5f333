"""Strides, poolings of their own and rows of features in the fused engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import sparring
from sparring.attacks import PGD
from sparring.fused import machine
from sparring.fused.engine import OBJECTIVE_NUMBERS
from sparring.fused.header import header
from sparring.fused.layouts import layouts_of
from sparring.fused.recognise import recognise
from sparring.fused.winograd import uses_winograd, winograd_points
from tests.sparring.fused.fused_networks import POOLING_NETWORKS, network, shape_of
from tests.sparring.fused.fused_references import errors, kernels, sample

ISAS = machine._offered()
WIDE = POOLING_NETWORKS.keys() - {"features"}
WIDEST, *OTHERS = ISAS


@pytest.mark.parametrize(
    ("name", "isa"),
    [(name, WIDEST) for name in POOLING_NETWORKS]
    # The others, which have as many registers as each other, in turns.
    + [(name, OTHERS[i % len(OTHERS)]) for i, name in enumerate(POOLING_NETWORKS) if OTHERS],
)
def test_kernels_compute_what_float64_does(name, isa):
    compiled = kernels([name], [ISAS[isa]])
    case = sample(name, 4, 64)
    for (_, _, kind), library in compiled.items():
        worst = errors(library, case, (1, 3, 17, 64), 2)
        assert max(worst.values()) < 2e-5, (kind, worst)


@pytest.mark.parametrize("name", POOLING_NETWORKS)
def test_tiles_know_no_strides_and_one_kind_of_pooling(name):
    found = recognise(network(name), shape_of(name)).network
    for isa in ISAS.values():
        kinds = [kind.name for kind in layouts_of(found, isa)]
        assert kinds == (["wide"] if name in WIDE else ["wide", "tile"])


def test_strides_are_computed_in_tiles_of_every_size_and_as_they_are_written_down():
    convolutions = [
        conv
        for name in WIDE
        for conv in recognise(network(name), shape_of(name)).network.convolutions
        if conv.stride > 1
    ]
    assert {(winograd_points(conv), conv.kernel // conv.stride) for conv in convolutions} >= {
        (0, 1), (0, 2), (5, 2), (6, 3), (7, 2), (8, 2), (8, 4),
    }  # fmt: skip


def test_equal_pixels_stay_equal_before_a_maximum_of_its_own():
    """Winograd's tiles would round them apart."""
    layers = [nn.Conv2d(12, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    tail = [nn.Flatten(), nn.Linear(16 * 5 * 5, 3)]
    found = recognise(nn.Sequential(*layers, *tail), (12, 11, 11)).network
    assert uses_winograd(found.convolutions[0])
    assert "Algorithm::direct>" in header(found)
    layers[2] = nn.AvgPool2d(3, 2)
    found = recognise(nn.Sequential(*layers, *tail), (12, 11, 11)).network
    assert "Algorithm::winograd" in header(found)


@pytest.fixture(scope="module")
def pools():
    (library,) = kernels(["pools"], [next(iter(ISAS.values()))]).values()
    return library


def test_the_first_of_equal_pixels_wins(pools):
    case = sample("pools", 1, 4)
    pools.load(case.parameters)
    x = torch.full_like(case.x, 0.3).requires_grad_()
    (expected,) = torch.autograd.grad(case.model(x).sum(1).sum() - 2 * case.model(x)[:, 0].sum(), x)
    found = torch.empty_like(case.x)
    pools.input_gradient(
        x.detach(), torch.zeros(4, dtype=torch.int64), found, OBJECTIVE_NUMBERS["study"], 1
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("place", [(0, 0), (7, 6), (14, 13)])
def test_maxima_do_not_hide_what_is_no_number(pools, place):
    case = sample("pools", 1, 4)
    pools.load(case.parameters)
    x = case.x.clone()
    x[1, :, place[0], place[1]] = float("nan")
    out = torch.empty(4, 3)
    pools.logits(x, out, 1)
    assert torch.equal(out.isnan(), case.model(x).isnan())


def _spatial():
    return (1, 9, 8), nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1),
        nn.Conv2d(4, 6, 2, padding=1), nn.ReLU(), nn.AvgPool2d(2, 1), nn.Flatten(),
        nn.Linear(6 * 3 * 2, 3),
    )  # fmt: skip


def _features():
    return (11,), nn.Sequential(nn.Linear(11, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("make", [_spatial, _features])
def test_training_is_that_of_pytorch(monkeypatch, make):
    monkeypatch.delenv("SPARRING_BACKEND", raising=False)
    weights = []
    for backend in ("torch", "fused"):
        torch.manual_seed(1)  # no image of it comes next to a kink
        shape, model = make()
        random = np.random.default_rng(3)
        data = random.random((40, *shape), np.float32), random.integers(0, 3, 40)
        attack = PGD(epsilon=0.2, step_size=0.3, steps=3, norm="l2", backend=backend)
        trainer = sparring.Trainer(
            model, torch.optim.Adam(model.parameters(), lr=0.01), data, attack, "sequential",
            batch_size=20, backend=backend,
        )  # fmt: skip
        trainer.fit(updates=5)
        assert trainer.compute.backend == backend
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-5)
