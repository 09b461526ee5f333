"""Gradients that are no numbers, or infinite: adversaries stay images, and nothing counts them."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from sparring.attacks import FGSM, PGD, GradientAscent
from sparring.attacks.base import Attack
from sparring.attacks.norms import usable
from sparring.attacks.square import Square
from sparring.evaluation import count_correct
from sparring.logits import right
from sparring.robustness.evaluate import Evaluation
from sparring.robustness.measure import Extent, Subject
from sparring.robustness.sanity import _constraint
from sparring.robustness.scale import Scale
from sparring.robustness.suite import l2

NAN, INF = math.nan, math.inf


class Rooted(nn.Module):
    """Its slope is infinite at 0, and no number where the weight is 0."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 3)
        with torch.no_grad():
            self.layer.weight.copy_(torch.linspace(-1, 1, 48).reshape(3, 16))
            self.layer.weight[:, 5] = 0.0

    def forward(self, x):
        return self.layer(x.flatten(1).sqrt())


def black_and_grey():
    x = torch.full((8, 1, 4, 4), 0.5)
    x[:4, :, :2] = 0.0
    return x, torch.arange(8) % 3


class Images:
    def __len__(self):
        return 8

    def images(self, which=slice(None)):
        return black_and_grey()[0][which].numpy()

    def labels(self, which=slice(None)):
        return black_and_grey()[1][which].numpy()


ATTACKS = [
    PGD(2.0, 0.125, 5, norm="l2"), PGD(2.0, 0.125, 5, norm="l2", random_start=True, restarts=2),
    PGD(0.3, 0.1, 5), PGD(0.3, 0.1, 5, momentum=0.9), PGD(0.3, 0.1, 5, norm="l2", momentum=1e38),
    FGSM(0.3), GradientAscent(step_size=0.1, steps=5, bounds=(0.0, 1.0)),
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_adversaries_of_a_model_with_infinite_slope_are_images_that_moved(attack, caplog):
    x, y = black_and_grey()
    found = attack(Rooted(), x, y, generator=torch.Generator().manual_seed(0))
    assert bool(((found >= 0) & (found <= 1)).all())
    delta = (found - x).flatten(1)
    assert bool((delta.abs().amax(1) > 0).all())
    epsilon = getattr(attack, "epsilon", INF) + 1e-5
    order = 2 if getattr(attack, "norm", "") == "l2" else INF
    assert float(torch.linalg.vector_norm(delta, order, dim=1).max()) <= epsilon
    if not getattr(attack, "random_start", False):
        assert "of 8 images had gradients that are not finite (numbers 0, 1, 2, 3" in caplog.text


def test_a_model_without_such_slopes_is_attacked_without_a_word(caplog):
    x, y = black_and_grey()
    PGD(0.3, 0.1, 5)(Rooted(), x[4:], y[4:])
    assert not caplog.text


def test_what_is_usable_of_a_gradient():
    gradient = torch.tensor([[NAN, 2.0, -3.0], [INF, -4.0, -INF], [INF, NAN, 0.0], [1.0, 0.0, 2.0]])
    kept, bad = usable(gradient)
    expected = [[0.0, 2.0, -3.0], [4.0, -4.0, -4.0], [1.0, 0.0, 0.0], [1.0, 0.0, 2.0]]
    assert kept.tolist() == expected
    assert bad.tolist() == [True, True, True, False]


def test_images_that_are_no_numbers_are_refused():
    x, y = black_and_grey()
    x[0, 0, 0, 0] = NAN
    for attack in (FGSM(), GradientAscent(), PGD(), Square()):
        with pytest.raises(ValueError, match="but holds nan"):
            attack(Rooted(), x, y)


@pytest.mark.parametrize("values", [{"epsilon": 1e39}, {"step_size": 1e300}])
def test_lengths_beyond_float32_are_refused(values):
    (name,) = values
    with pytest.raises(ValueError, match=f"{name} must be at most 1e\\+38"):
        PGD(**values)


class Spoil(Attack):
    """Adversaries of which two are no numbers."""

    def _perturb(self, climb, x, source):
        found = x.clone()
        found[1], found[2, 0, 0, 0] = NAN, INF
        return found


class ByMean(nn.Module):
    """Class 1 above 0.4, and nothing that is no number is class 0."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        mean = x.flatten(1).mean(1) + self.bias
        return torch.stack([0.4 - mean, mean - 0.4, mean - 9], 1)


def test_adversaries_that_are_no_numbers_are_no_success():
    class Right(Images):
        def labels(self, which=slice(None)):
            return np.array([0, 0, 0, 0, 1, 1, 1, 0])[which]

    assert count_correct(ByMean(), Right(), range(8)) == 7
    assert count_correct(ByMean(), Right(), range(8), Spoil()) == 7
    subject = Subject(ByMean(), Right(), 8)
    evaluation = Evaluation(subject, Scale(backend="torch"), 0.3)
    found = subject.attacked(Spoil())
    assert found.right.sum() == 7
    assert math.isnan(found.extent.l2)
    for threat in ("linf", "l2", "none"):
        evaluation.outside.clear()
        evaluation.constrain("spoil", threat, 0.3, found)
        assert evaluation.outside
        assert _constraint(evaluation).status == "failed"


@pytest.mark.parametrize("order", [1, -1])
def test_no_maximum_over_adversaries_loses_a_not_a_number(order):
    extent, x = Extent(), torch.zeros(1, 1, 2, 2)
    for value in (0.5, NAN)[::order]:
        extent.add(torch.full_like(x, value), x)
    assert all(math.isnan(value) for value in dataclasses.astuple(extent))


def test_a_network_of_no_numbers_is_right_about_nothing_and_its_distances_are_told():
    model = Rooted()
    with torch.no_grad():
        model.layer.weight.fill_(NAN)
    subject = Subject(model, Images(), 8)
    evaluation = Evaluation(subject, Scale(backend="torch"), 0.3)
    assert evaluation.clean() == 0.0
    assert not right(torch.tensor([[NAN, 0.0], [1.0, NAN]]), torch.tensor([0, 0])).any()
    subject.right = lambda x, y: np.ones(len(x), bool)  # so that all are attacked
    evaluation.attack(l2("pgd_l2", 2.0, 0.125, 3))
    row = evaluation.rows[-1]
    assert 0 < row.distance_l2 <= 2.0 + 1e-5
    assert _constraint(evaluation).status == "passed"


def test_of_restarts_one_whose_height_is_no_number_loses():
    y = torch.tensor([0])
    climb = SimpleNamespace(y=y, logits=lambda x: x)
    fooled, height = PGD()._judge(climb, torch.tensor([[NAN, 1.0]]))
    assert fooled.tolist() == [True]
    assert height.tolist() == [-INF]


def test_square_goes_on_from_logits_that_are_no_numbers():
    class Odd(nn.Module):
        def forward(self, x):
            first = x.flatten(1)[:, :1]
            level = torch.where(first > 0.6, NAN, first)  # so begins half of the starts
            return torch.cat([0.45 - level, level - 0.45], 1)

    x = torch.full((16, 1, 4, 4), 0.5)
    square = Square(0.3, 50, backend="torch")
    found = square(Odd(), x, torch.ones(16, dtype=torch.int64), generator=torch.Generator())
    assert float(Odd()(found).isnan().double().mean()) < 0.2
