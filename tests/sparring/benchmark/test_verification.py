"""Adversaries and updates of others: what passes, and what is refused and why."""

from __future__ import annotations

import pytest
import torch

from sparring.benchmark.plan import ATTACK, ITERATION, UPDATE, Numbers
from sparring.benchmark.verification import Judge, WrongAttackError
from tests.sparring.benchmark.fakes import IMAGES, adversaries, update_of


def test_the_same_attack_passes(problem, judge):
    found = judge.check(adversaries(problem, 20), 20)
    assert found == judge.reference(IMAGES, 20)
    assert found.success_rate > 0.5
    assert judge.check(adversaries(problem, 20, count=16), 20) == judge.reference(16, 20)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p, x: p.images.clone(), "mean loss is .*, that of Sparring's PyTorch attack"),
        (lambda p, x: adversaries(p, 20, epsilon=0.1), "mean loss"),
        (lambda p, x: adversaries(p, 20, epsilon=0.4), "up to 0.4.* at most 0.3"),
        (lambda p, x: x + 1e-4 * (x - p.images).sign(), "up to|pixels"),
        (lambda p, x: x - 0.2, "up to|pixels of the adversaries lie in"),
        (lambda p, x: x / x.new_tensor([0.0, 1.0, 1.0, 1.0]), "not finite"),
        (lambda p, x: x.double(), "float64"),
        (lambda p, x: x[:, :, 1:], r"expected torch.float32 \(32, 1, 4, 4\)"),
    ],
)
def test_another_attack_is_refused(problem, judge, spoil, said):
    with pytest.raises(WrongAttackError, match=said):
        judge.check(spoil(problem, adversaries(problem, 20)), 20)


def test_pixels_out_of_bounds_are_refused(problem):
    judge = Judge(problem, Numbers(epsilon=3.0))
    with pytest.raises(WrongAttackError, match=r"pixels .* expected 0 to 1"):
        judge.check(problem.images - 1.0, 5)


def test_a_success_rate_that_is_too_low_is_refused(problem, judge):
    """Losses may agree in the mean while fewer images fool the network."""
    found = adversaries(problem)
    with torch.no_grad():
        fooled = (problem.model(found).argmax(1) != problem.labels).nonzero().flatten()
    found[fooled[:4]] = problem.images[fooled[:4]]
    judge._references[5] = (torch.zeros(IMAGES), torch.ones(IMAGES, dtype=torch.bool))
    with pytest.raises(WrongAttackError, match="of the adversaries fool the network"):
        judge.check(found, 5)


@pytest.mark.parametrize(("batch", "images"), [(1, 16), (3, 18), (16, 16), (32, 32)])
def test_small_batches_are_checked_together(judge, batch, images):
    assert judge.images_for(batch) == images


@pytest.mark.parametrize("batch", [1, 8, IMAGES])
def test_updates_pass(problem, judge, batch):
    parts = [slice(start, start + batch) for start in range(0, IMAGES, batch)]
    found = [update_of(problem, problem.images[part], part) for part in parts]
    strength = judge.judge(UPDATE, found, 0)
    assert strength.gradient_error < 1e-5
    assert strength.loss_after < strength.loss
    attacked = adversaries(problem)
    found = [update_of(problem, attacked[part], part) for part in parts]
    assert judge.judge(ITERATION, found, 5).loss == judge.reference(IMAGES, 5).loss
    assert judge.judge(ATTACK, found, 5).gradient_error is None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda found: found["gradients"].mul_(1.002), "gradients are 0.002 from those of float64"),
        (lambda found: found["gradients"].fill_(float("nan")), "gradients are nan"),
        (lambda found: found["gradients"].resize_(3), r"gradients are \(3,\), expected"),
        (lambda found: found["weights"].add_(found["gradients"], alpha=0.001),
         "the loss after the update is .*, of float64 .*; before it was"),
        (lambda found: found["weights"].add_(found["gradients"], alpha=0.01), "the loss after"),
    ],
)  # fmt: skip
def test_another_update_is_refused(problem, judge, spoil, said):
    found = update_of(problem, problem.images)
    spoil(found)
    with pytest.raises(WrongAttackError, match=said):
        judge.judge(UPDATE, [found], 0)


def test_an_iteration_with_another_attack_is_refused(problem, judge):
    with pytest.raises(WrongAttackError, match="mean loss"):
        judge.judge(ITERATION, [update_of(problem, problem.images)], 5)
