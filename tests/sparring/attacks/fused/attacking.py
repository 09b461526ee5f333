"""Attacks on a small network, by the engine and by PyTorch."""

from __future__ import annotations

import torch

from sparring.attacks import FGSM, PGD, GradientAscent
from tests.sparring.compute.fused_training_ranks import CLASSES, SHAPE
from tests.sparring.compute.fused_training_ranks import small as make


def images(count, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand((count, *SHAPE), generator=generator, dtype=dtype)
    return x, torch.randint(0, CLASSES, (count,), generator=generator)


def both(attack, model, x, y, **keywords):
    """The adversaries of PyTorch and of the engine."""
    results = []
    for backend in ("torch", "fused"):
        chosen = type(attack)(**{**vars(attack), "backend": backend})
        results.append(chosen(model, x, y, generator=torch.Generator().manual_seed(1), **keywords))
    return results


ATTACKS = {
    "fgsm": FGSM(epsilon=0.05),
    "fgsm targeted study": FGSM(epsilon=0.05, targeted=True, objective="study"),
    "ascent study": GradientAscent(step_size=0.02, steps=8, bounds=(0.0, 1.0)),
    "ascent cross-entropy": GradientAscent(
        step_size=0.05, steps=8, objective="cross_entropy", bounds=(-0.5, 1.5)
    ),
    "linf": PGD(epsilon=0.05, step_size=0.01, steps=12),
    "linf study": PGD(epsilon=0.05, step_size=0.01, steps=12, objective="study"),
    "linf targeted restarts": PGD(
        epsilon=0.05, step_size=0.01, steps=6, random_start=True, restarts=3, targeted=True
    ),
    "l2": PGD(epsilon=0.5, step_size=0.1, steps=12, norm="l2"),
    "l2 random restarts": PGD(
        epsilon=0.5, step_size=0.1, steps=6, norm="l2", random_start=True, restarts=2
    ),
    "linf momentum": PGD(epsilon=0.05, step_size=0.01, steps=8, momentum=0.9),
    "l2 momentum": PGD(epsilon=0.5, step_size=0.1, steps=8, norm="l2", momentum=0.5),
}


def pgd(backend="fused", **settings):
    return PGD(**{"epsilon": 0.1, "step_size": 0.02, "steps": 3, **settings}, backend=backend)


def change_state(model):
    model.load_state_dict(make(9).state_dict())


def lines(caplog):
    return [r.getMessage() for r in caplog.records if r.name.startswith("sparring")]
