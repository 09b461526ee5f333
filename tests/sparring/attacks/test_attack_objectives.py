from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from sparring import FGSM, PGD, GradientAscent
from sparring.attacks.objectives import OBJECTIVES, cross_entropy, log_odds, margin, study


def gradient(function, logits, y):
    logits = logits.detach().requires_grad_()
    (result,) = torch.autograd.grad(function(logits, y).sum(), logits)
    return result


def logits_and_labels(scale):
    generator = torch.Generator().manual_seed(3)
    logits = scale * torch.randn((20, 10), generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, 10, (20,), generator=generator)


def confident(margin):
    """A linear float64 model whose class y leads by the margin on every image."""
    generator = torch.Generator().manual_seed(4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.randn((10, 64), generator=generator))
        model[1].bias.zero_()
        model[1].bias[7] = margin
    x = torch.rand((16, 1, 1, 64), generator=generator, dtype=torch.float64)
    # so that class 7's lead is the margin: the weights alone give nothing
    with torch.no_grad():
        z = model(x)
        x = x - torch.linalg.lstsq(model[1].weight, (z - model[1].bias).T).solution.T.reshape(
            x.shape
        )
    return model, x, torch.full((16,), 7)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_cross_entropy_is_pytorchs_in_float64(scale):
    logits, y = logits_and_labels(scale)
    torch.testing.assert_close(
        cross_entropy(logits, y), F.cross_entropy(logits, y, reduction="none")
    )
    torch.testing.assert_close(
        gradient(cross_entropy, logits, y),
        gradient(lambda z, y: F.cross_entropy(z, y, reduction="none"), logits, y),
    )


def test_cross_entropy_keeps_its_gradient_where_the_probability_rounds_to_one():
    logits = torch.tensor([[40.0, 0.0, 1.0]])
    y = torch.tensor([0])
    others = np.exp(np.array([0.0, 1.0]) - 40.0)
    expected = torch.tensor([[-others.sum(), *others]]).float()
    torch.testing.assert_close(gradient(cross_entropy, logits, y), expected, rtol=1e-5, atol=0)
    naive = gradient(lambda z, y: F.cross_entropy(z, y, reduction="none"), logits, y)
    assert naive[0, 0] == 0  # what the formulation is there to avoid


def test_log_odds_against_their_definition():
    logits, y = logits_and_labels(2.0)
    p = torch.softmax(logits, 1)[torch.arange(20), y]
    torch.testing.assert_close(log_odds(logits, y), torch.log((1 - p) / p))


def test_study_objective_against_its_definition():
    logits, y = logits_and_labels(2.0)
    expected = [float(z.sum() - 2 * z[k]) for z, k in zip(logits.numpy(), y.numpy(), strict=True)]
    np.testing.assert_allclose(study(logits, y).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_surrogate_increases_with_the_loss_and_points_along_its_gradient(name):
    logits, y = logits_and_labels(2.0)
    objective = OBJECTIVES[name]
    # On images of one class the order of the losses is the order of the surrogates.
    order = objective.loss(logits, y).argsort()
    assert torch.equal(order, objective.surrogate(logits, y).argsort())
    a, b = gradient(objective.loss, logits, y), gradient(objective.surrogate, logits, y)
    torch.testing.assert_close(F.cosine_similarity(a, b), torch.ones(20, dtype=torch.float64))


@pytest.mark.parametrize("attack", [FGSM(0.1, bounds=(-100, 100)), PGD(steps=1, bounds=(-9, 9))])
def test_signs_are_right_on_confident_images(attack):
    model, x, y = confident(margin=20.0)
    logits = model(x.requires_grad_())
    (exact,) = torch.autograd.grad(F.cross_entropy(logits, y, reduction="sum"), x)
    single, x = model.float(), x.detach().float()

    signs = (attack(single, x, y) - x).sign()
    assert torch.equal(signs, exact.sign().float())

    naive_x = x.clone().requires_grad_()
    (naive,) = torch.autograd.grad(F.cross_entropy(single(naive_x), y, reduction="sum"), naive_x)
    assert (naive.sign() != exact.sign()).float().mean() > 0.1  # the images are hard


def test_ascent_follows_the_right_gradient_on_confident_images():
    model, x, y = confident(margin=20.0)
    logits = model(x.requires_grad_())
    (exact,) = torch.autograd.grad(F.cross_entropy(logits, y, reduction="sum"), x)
    attack = GradientAscent(step_size=1e8, steps=1, objective="cross_entropy", bounds=(-1e9, 1e9))
    x = x.detach()
    step = attack(model.float(), x.float(), y).double() - x
    torch.testing.assert_close(step, 1e8 * exact, rtol=1e-4, atol=1e-4)


def test_signs_are_right_where_even_the_loss_underflows():
    model, x, y = confident(margin=200.0)
    weight = model[1].weight.detach().numpy()
    z = (model(x).detach().numpy())[:, np.arange(10) != 7]
    share = np.exp(z - z.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    direction = share @ weight[np.arange(10) != 7] - weight[7]
    single, x = model.float(), x.float()
    assert cross_entropy(single(x), y).max() == 0

    step = FGSM(0.1, bounds=(-100, 100))(single, x, y) - x
    np.testing.assert_array_equal(np.sign(step.numpy().reshape(16, -1)), np.sign(direction))


def test_the_margin_is_positive_exactly_where_the_network_is_fooled():
    logits, y = logits_and_labels(2.0)
    found = margin(logits, y)
    assert ((found > 0) == (logits.argmax(1) != y)).all()
    slope = gradient(margin, logits, y)
    assert (slope.sum(1) == 0).all()
    assert (slope.gather(1, y[:, None]) == -1).all()
    assert ((slope == 1).sum(1) == 1).all()


def test_pgd_on_the_margin_does_not_care_for_the_logits_scale():
    model, x, y = confident(0.5)
    x = (x - x.min()) / (x.max() - x.min())
    louder = nn.Sequential(model, Scaled(1000.0))
    attack = PGD(0.1, 0.02, 5, objective="margin", backend="torch")
    assert torch.equal(attack(model, x, y), attack(louder, x, y))


class Scaled(nn.Module):
    """Multiplies logits."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x
