"""Activations other than ReLU in the fused engine."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparring.fused import machine
from sparring.fused.layouts import layouts_of
from sparring.fused.recognise import recognise
from tests.sparring.fused.fused_networks import CURVE_NETWORKS, network, shape_of
from tests.sparring.fused.fused_references import (
    FUNCTIONS,
    OBJECTIVE_NUMBERS,
    errors,
    kernels,
    sample,
)

ISAS = machine._offered()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", CURVE_NETWORKS)
def test_kernels_compute_what_float64_does(isa, name):
    found = recognise(network(name), shape_of(name)).network
    assert [kind.name for kind in layouts_of(found, ISAS[isa])] == ["wide"]
    (library,) = kernels([name], [ISAS[isa]]).values()
    for seed in range(3):
        worst = errors(library, sample(name, seed, 64), (1, 3, 17, 64), 2)
        assert max(worst.values()) < 2e-5, (seed, worst)


@pytest.fixture(scope="module", params=CURVE_NETWORKS)
def one(request):
    (library,) = kernels([request.param], [next(iter(ISAS.values()))]).values()
    return request.param, library


@pytest.mark.parametrize("size", [1e-3, 30.0, 3e3])
def test_numbers_near_and_far(one, size):
    """Where other forms would cancel or overflow."""
    name, library = one
    case = sample(name, 1, 17)
    library.load(case.parameters)
    x = (case.x - 0.5) * size
    logits, found = torch.empty(17, case.exact[-1].out_features), torch.empty_like(x)
    library.logits(x, logits, 1)
    wanted = x.double().requires_grad_()
    exact = case.exact(wanted)
    torch.testing.assert_close(
        logits.double(), exact, rtol=1e-5, atol=1e-5 * float(exact.detach().abs().max())
    )
    (gradient,) = torch.autograd.grad(FUNCTIONS["study"](exact, case.y).sum(), wanted)
    library.input_gradient(x, case.y, found, OBJECTIVE_NUMBERS["study"], 1)
    far = (found - gradient).abs().flatten(1).amax(1) > 1e-4 * gradient.abs().max()
    assert far.sum() <= 1  # one may lie next to a kink


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_stays_none(one, value):
    name, library = one
    case = sample(name, 1, 4)
    library.load(case.parameters)
    x = case.x.clone()
    x[2] = value
    out = torch.empty(4, case.exact[-1].out_features)
    library.logits(x, out, 1)
    assert torch.equal(out.isnan(), case.model(x).isnan())
    assert out[3].isfinite().all()


def test_the_networks_have_every_activation():
    kinds = {type(layer) for name in CURVE_NETWORKS for layer in network(name)}
    assert kinds >= {
        nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus,
    }  # fmt: skip
