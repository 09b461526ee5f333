"""What agrees with float64: kinks are replaced and counted, what is wrong each time is found."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from sparring.fused.agreement import BOUND, TRIES, compare, gradients


class Kernel:
    """PyTorch in float32, which `spoil` changes."""

    def __init__(self, spoil=lambda call, found: None):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 3))
        self.exact = copy.deepcopy(self.model).double()
        self.spoil, self.calls = spoil, 0

    def of_images(self, x, y):
        (found,) = gradients(self.model, x, y)
        self.spoil(self.calls, found)
        self.calls += 1
        return found

    def of_weights(self, x, y):
        return gradients(self.model, x, y, [*self.model.parameters()])[1:]

    def compared(self, of_weights=None):
        generator = torch.Generator().manual_seed(1)
        return compare(
            self.exact, lambda n: torch.rand(n, 7, generator=generator), torch.arange(5) % 3,
            self.of_images, [*self.exact.parameters()], of_weights,
        )  # fmt: skip


@pytest.mark.parametrize("weights", [False, True])
def test_a_right_kernel_agrees_at_once(weights):
    kernel = Kernel()
    found = kernel.compared(kernel.of_weights if weights else None)
    assert 0 < found.worst < 1e-5
    assert (found.by_weights > 0) == weights
    assert found.by_images.shape == (5,)
    assert (found.replaced, kernel.calls) == (0, 1)


@pytest.mark.parametrize("value", [2.0, float("nan")])
@pytest.mark.parametrize("weights", [False, True])
def test_an_image_on_a_kink_is_replaced_and_the_others_are_kept(value, weights):
    first = Kernel()
    kept = first.compared().x

    def spoil(call, found):
        if call < 2:
            found[3, 2] += value * found[3].abs().max()

    kernel = Kernel(spoil)
    found = kernel.compared(kernel.of_weights if weights else None)
    assert found.worst < 1e-5
    assert (found.replaced, kernel.calls) == (2, 3)
    changed = (found.x != kept).any(1)
    assert changed.tolist() == [False, False, False, True, False]
    exact = gradients(kernel.exact, found.x.double(), torch.arange(5) % 3)[0]
    torch.testing.assert_close(found.wanted, exact)


@pytest.mark.parametrize("value", [0.01, float("nan")])
def test_a_place_that_is_wrong_with_every_image_is_found(value):
    def spoil(call, found):
        found[4, 0] += value * found[4].abs().max()

    kernel = Kernel(spoil)
    found = kernel.compared()
    assert not found.worst < BOUND
    assert found.by_images[:4].max() < 1e-5
    assert (found.replaced, kernel.calls) == (TRIES - 1, TRIES)


@pytest.mark.parametrize("factor", [1.01, float("nan")])
def test_weights_that_are_wrong_are_found(factor):
    kernel = Kernel()
    found = kernel.compared(lambda x, y: [factor * g for g in kernel.of_weights(x, y)])
    assert not found.by_weights < BOUND
    assert not found.worst < BOUND
    assert found.by_images.max() < 1e-5
    assert found.replaced == 5 * (TRIES - 1)
