"""Input gradients by Jacobian products, beside autograd in float64."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from kernels.chains import jacobian
from kernels.chains import orders as chains
from kernels.chains.jacobian import Jacobians
from kernels.chains.products import ChainProducts
from kernels.declarations.study import module, network

SIZE = 12


def problem(images, seed=0):
    """Weights, images and labels of a small study network, and the gradient in float64."""
    model = module(SIZE)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = max(1, parameter.flatten(1).shape[1] if parameter.dim() > 1 else 25)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
    weights = list(model.parameters())
    x = torch.rand(images, 1, SIZE, SIZE, generator=generator)
    labels = torch.randint(0, 10, (images,), generator=generator)
    exact = module(SIZE).double()
    exact.load_state_dict(model.state_dict())
    wanted = x.double().requires_grad_()
    logits = exact(wanted)
    loss = logits.sum() - 2 * (F.one_hot(labels, 10) * logits).sum()
    return weights, x, labels, torch.autograd.grad(loss, wanted)[0]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("images", [1, 5])
def test_the_gradient_is_autograds(images, sparse):
    weights, x, labels, expected = problem(images)
    found = Jacobians(weights, SIZE, sparse=sparse).input_gradient(x, labels)
    assert found.shape == x.shape
    assert (found.double() - expected).norm() <= 1e-5 * expected.norm()


def test_inputs_are_left_alone():
    weights, x, labels, _ = problem(2)
    before = [x.clone(), *(w.detach().clone() for w in weights)]
    Jacobians(weights, SIZE).input_gradient(x, labels)
    assert all(map(torch.equal, before, [x, *weights]))


def test_the_explicit_chain_is_the_gradient_in_any_order():
    weights, x, labels, expected = problem(1)
    made = Jacobians(weights, SIZE).explicit(x, labels)
    assert [tuple(m.shape) for m in made] == [(1, 10), (10, 50), (50, 320), (320, 640), (640, 144)]
    assert (made[-1].count_nonzero(1) == 0).any()  # a dead ReLU
    products = ChainProducts(made)
    for order in (chains.left_to_right(0, 5), chains.blocks(5, 2)):
        found = products.in_order(order, 1).run().view(x.shape)
        assert (found.double() - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize(("images", "sparse"), [(2, False), (1, True)])
def test_an_explicit_chain_is_of_one_image_and_dense(images, sparse):
    weights, x, labels, _ = problem(images)
    with pytest.raises(ValueError, match="one image"):
        Jacobians(weights, SIZE, sparse=sparse).explicit(x, labels)


def test_the_numbers_of_the_studys_matrices():
    layers = network(28)
    linear = 8000 * 50 + 50 * 10
    assert jacobian.matrix_bytes(layers, dense=True) == 4 * (5760 * 784 + 8000 * 5760)
    assert jacobian.entries(layers, dense=False) == 5760 * 25 + 8000 * 250 + linear
    assert jacobian.flops(layers, dense=True) == 4 * (5760 * 784 + 8000 * 5760 + linear)


def test_the_loss_is_the_studys():
    found = jacobian.loss_gradient(torch.tensor([2, 0]), classes=3)
    assert found.tolist() == [[1, 1, -1], [-1, 1, 1]]


def test_other_weights_are_refused():
    with pytest.raises(ValueError, match="four layers"):
        Jacobians([torch.ones(1)], SIZE)
