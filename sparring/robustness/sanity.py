"""Checks that an evaluation's numbers mean something.

Source of the list: Carlini, Athalye, Papernot and others, "On Evaluating Adversarial Robustness",
2019, sections 3 to 5: attacks with more steps and larger balls do more; unbounded attacks reach
0 %; gradient-free attacks do no better; the attack breaks an undefended network.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from sparring.attacks.objectives import log_odds
from sparring.attacks.square import Square
from sparring.modes import mode
from sparring.robustness import peers
from sparring.robustness.evaluate import Evaluation
from sparring.robustness.results import Row
from sparring.robustness.suite import linf

#: Images that the checks attack.
IMAGES = 200
#: By how much an accuracy may rise with a stronger attack: chance of the starts.
NOISE = 0.01
#: Of an undefended network under PGD-40, and of any at epsilon 0.5, "about 0".
ABOUT_NOTHING = 0.05
#: By how much our PGD's accuracy and Foolbox's may differ: their random starts are others.
PEER_DIFFERENCE = 0.02
QUERIES = 1000


def checks(evaluation: Evaluation, undefended: nn.Module | None, images: int = IMAGES) -> None:
    """Add all checks' rows to the evaluation, of which the attacks have run.

    Args:
        evaluation: of the network.
        undefended: the same network after training without attacks; None leaves its check out.
        images: the checks use the first so many.
    """
    for check in (_steps, _epsilons, _black_box, _gradients, _foolbox):
        evaluation.rows.extend(check(evaluation, images))
    if undefended is not None:
        evaluation.rows.append(_undefended(evaluation, undefended, images))
    evaluation.rows.append(_constraint(evaluation))


def _verdict(good: bool, tolerable: bool = False) -> str:
    return "passed" if good else "warning" if tolerable else "failed"


def _accuracy(evaluation: Evaluation, epsilon: float, steps: int, images: int) -> float:
    """Accuracy under PGD whose steps reach 2.5 times across the ball, or Madry's step if longer."""
    if epsilon == 0:
        return float(evaluation.masks["clean"][:images].mean())
    step = max(2.5 * epsilon / steps, epsilon / 30)
    entry = linf(f"pgd_{steps} at {epsilon:g}", epsilon, step, steps)
    found = evaluation.subject.attacked(
        entry.build(evaluation.scale, evaluation.subject.bounds), seed=evaluation.seed,
        images=images,
    )  # fmt: skip
    evaluation.constrain(entry.name, entry.threat, epsilon, found)
    return float(found.right.mean())


def _falling(name: str, found: dict[float, float], images: int, what: str) -> Row:
    """Whether accuracies fall as the key grows, but for chance."""
    values = list(found.values())
    rise = max((b - a for a, b in pairwise(values)), default=0.0)
    told = ", ".join(f"{key:g}: {value:.3f}" for key, value in found.items())
    return Row("check", name, _verdict(rise <= NOISE), rise, images, message=told,
               expected=f"accuracy rises by no more than {NOISE} with {what}")  # fmt: skip


def _steps(evaluation: Evaluation, images: int) -> Iterator[Row]:
    found = {
        float(steps): _accuracy(evaluation, evaluation.epsilon, steps, images)
        for steps in (1, 4, 10, 40, 100)
    }
    yield _falling("falls_with_steps", found, images, "more steps")


def _epsilons(evaluation: Evaluation, images: int) -> Iterator[Row]:
    found = {
        epsilon: _accuracy(evaluation, epsilon, 40, images)
        for epsilon in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    }
    found[0.5] = min(found[0.5], _accuracy(evaluation, 0.5, 100, images))
    yield _falling("falls_with_epsilon", found, images, "a larger epsilon")
    # At 0.5 every image can be made the same grey, which has one class.
    labels = evaluation.subject.y[:images]
    most = float(torch.bincount(labels).max()) / len(labels)
    yield Row("check", "nothing_at_large_epsilon", _verdict(found[0.5] <= ABOUT_NOTHING,
              found[0.5] <= most), found[0.5], images,
              expected=f"accuracy at epsilon 0.5 at most {ABOUT_NOTHING}; above {most:.3f} the "
              "attack misses what must exist: all images can become one grey")  # fmt: skip


def _black_box(evaluation: Evaluation, images: int) -> Iterator[Row]:
    unit = evaluation.scale.unit
    square = Square(evaluation.epsilon * unit, QUERIES, bounds=evaluation.subject.bounds,
                    backend=evaluation.scale.backend)  # fmt: skip
    found = evaluation.subject.attacked(square, seed=evaluation.seed, images=images)
    evaluation.constrain("square", "linf", evaluation.epsilon, found)
    white = evaluation.worst([n for n, threat in evaluation.threats.items()
                              if threat in ("clean", "linf") and n != "autoattack"])  # fmt: skip
    white = white[: len(found.right)]
    only = int((white & ~found.right[: len(white)]).sum())
    black_accuracy, white_accuracy = float(found.right.mean()), float(white.mean())
    yield Row("check", "black_box_is_weaker", _verdict(black_accuracy >= white_accuracy, False),
              black_accuracy, len(white), seconds=found.seconds, backend=found.backend,
              expected=f"accuracy under Square ({QUERIES} queries) at least {white_accuracy:.3f}, "
              "that under gradients",
              message=f"{only} images fall to Square alone")  # fmt: skip


def _gradients(evaluation: Evaluation, images: int) -> Iterator[Row]:
    subject = evaluation.subject
    x, y = subject.x[:images], subject.y[:images]
    with mode(subject.model, training=False), torch.enable_grad():
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(log_odds(subject.model(leaf), y).sum(), leaf)
    size = gradient.flatten(1).abs().amax(1)
    bad = float(((size == 0) | ~torch.isfinite(size)).float().mean())
    yield Row("check", "gradients_do_not_vanish", _verdict(bad == 0), bad, len(y),
              expected="no image whose gradient is zero or not finite",
              message=f"smallest of the largest entries {float(size.min()):.3g}")  # fmt: skip


def _foolbox(evaluation: Evaluation, images: int) -> Iterator[Row]:
    unit, epsilon = evaluation.scale.unit, evaluation.epsilon
    result = peers.foolbox_pgd(
        evaluation.subject, epsilon * unit, epsilon / 30 * unit, 40, images, evaluation.seed
    )
    expected = f"Foolbox's PGD-40 within {PEER_DIFFERENCE} of ours"
    if isinstance(result, str):
        yield Row("check", "agrees_with_foolbox", "skipped", None, images, expected, result)
        return
    if "pgd_40" in evaluation.masks:
        mine = float(evaluation.masks["pgd_40"][:images].mean())
    else:
        mine = _accuracy(evaluation, epsilon, 40, images)
    theirs = float(result.found.right.mean())
    yield Row("check", "agrees_with_foolbox", _verdict(abs(mine - theirs) <= PEER_DIFFERENCE),
              theirs, images, expected, f"ours {mine:.3f}, theirs {theirs:.3f}",
              seconds=result.found.seconds, backend="torch", package=result.package)  # fmt: skip


def _undefended(evaluation: Evaluation, model: nn.Module, images: int) -> Row:
    twin = evaluation.subject.with_model(model)
    entry = linf("pgd_40", evaluation.epsilon, evaluation.epsilon / 30, 40)
    found = twin.attacked(entry.build(evaluation.scale, twin.bounds), seed=evaluation.seed,
                          images=images)  # fmt: skip
    accuracy = float(found.right.mean())
    clean = float(np.mean(twin.clean()[:images]))
    return Row("check", "undefended_falls", _verdict(accuracy <= ABOUT_NOTHING), accuracy, images,
               expected=f"a network trained without attacks keeps at most {ABOUT_NOTHING} under "
               "PGD-40", message=f"its clean accuracy is {clean:.3f}")  # fmt: skip


def _constraint(evaluation: Evaluation) -> Row:
    outside = evaluation.outside
    return Row("check", "adversaries_stay_inside", _verdict(not outside), float(len(outside)),
               evaluation.subject.count, message="; ".join(outside),
               expected="no attack leaves its ball or the pixel range")  # fmt: skip
