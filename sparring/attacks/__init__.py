"""Attacks: functions of (model, images, labels) that return adversarial images.

An attack is a frozen dataclass that holds its settings and no state; the model comes at call time:

    >>> attack = PGD(epsilon=0.3, steps=40, random_start=True)
    >>> x_adv = attack(model, x, y, generator=torch.Generator().manual_seed(0))

``base.Attack`` says what every attack guarantees.
"""

from __future__ import annotations

from sparring.attacks.ascent import GradientAscent
from sparring.attacks.base import Attack
from sparring.attacks.fgsm import FGSM
from sparring.attacks.pgd import PGD
from sparring.attacks.sources import KeyedSource, RandomSource, TorchSource

__all__ = [
    "FGSM",
    "PGD",
    "Attack",
    "GradientAscent",
    "KeyedSource",
    "RandomSource",
    "TorchSource",
]
