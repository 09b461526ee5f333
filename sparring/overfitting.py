"""Catastrophic overfitting, seen while it happens.

A network that is trained on single-step adversaries may learn to defeat that one step and nothing
else: within some hundred updates accuracy under FGSM rises and accuracy under PGD falls to nothing
(Wong, Rice and Kolter, "Fast is better than free", ICLR 2020; Andriushchenko and
Flammarion, "Understanding and Improving Fast Adversarial Training", NeurIPS 2020).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import torch

from sparring.attacks import FGSM, PGD
from sparring.attacks.base import Attack
from sparring.attacks.sources import KeyedSource
from sparring.compute.pytorch import TorchCompute
from sparring.errors import SparringError
from sparring.logits import right
from sparring.modes import mode
from sparring.randomness import ImageStreams

log = logging.getLogger(__name__)

#: What follows when it is seen.
CONSEQUENCES = ("warn", "stop")

#: Epoch number that keys the starts of the check; no training run gets that far.
_EPOCH = 2**24 - 2


@dataclass
class CatastrophicOverfitting:
    """Looks every so many updates whether FGSM and PGD still tell the same story.

    Overfitting is catastrophic where FGSM leaves at least ``high`` of the images right and PGD
    less than ``ratio`` times as many. Both attack the first training images with the epsilon of
    the training's own attack: what is looked for is a failure to fit, not to generalise.

    Attributes:
        then: ``"warn"`` (once) or ``"stop"``, which ends training with an error; checkpoints stay.
        interval: updates between looks.
        images: training images that are attacked.
        steps: of PGD, each of 2.5 epsilon / steps.
        high, ratio: see above.
        looks: what was seen: (updates done, FGSM accuracy, PGD accuracy).

    Raises:
        SparringError: if a setting is out of range.
    """

    then: str = "warn"
    interval: int = 100
    images: int = 128
    steps: int = 10
    high: float = 0.5
    ratio: float = 0.5
    looks: list[tuple[int, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.then not in CONSEQUENCES:
            raise SparringError(f"then must be one of {', '.join(CONSEQUENCES)}, not {self.then!r}")
        if min(self.interval, self.images, self.steps) < 1:
            raise SparringError("interval, images and steps must be at least 1")
        self._warned = False

    def look(self, compute: TorchCompute, updates: int) -> None:
        """Look, if it is time; called after every update.

        Raises:
            SparringError: if overfitting is catastrophic and training is to stop, or the attack has
                no epsilon to compare with.
        """
        if updates % self.interval:
            return
        method = compute.attack_method
        epsilon = getattr(method, "epsilon", None)
        if epsilon is None:
            raise SparringError(
                f"catastrophic overfitting is looked for under attacks with epsilon, not {method}"
            )
        bounds, backend = getattr(method, "bounds", (0.0, 1.0)), method.backend
        step = max(2.5 * epsilon / self.steps, 1e-12)
        with compute.shown():
            single = self._accuracy(compute, FGSM(epsilon, bounds=bounds, backend=backend))
            many = self._accuracy(
                compute,
                PGD(epsilon, step, self.steps, random_start=True, bounds=bounds, backend=backend),
            )
        self.looks.append((updates, single, many))
        if single < self.high or many >= self.ratio * single:
            return
        told = (
            f"catastrophic overfitting after {updates} updates: accuracy {single:.2f} under FGSM, "
            f"{many:.2f} under PGD with {self.steps} steps, on {self.images} training images"
        )
        if self.then == "stop":
            raise SparringError(f"{told}; more attack steps or a smaller step may help")
        if not self._warned:
            self._warned = True
            log.warning("%s", told)

    def _accuracy(self, compute: TorchCompute, attack: Attack) -> float:
        x, y = compute.first_images(self.images)
        streams = ImageStreams(0, _EPOCH, range(len(x)))
        # A trainer that generates may be in the middle of an attack of its own: modes come back.
        with mode(compute.model, training=False), torch.no_grad():
            found = attack(compute.model, x, y, generator=KeyedSource(streams))
            return float(right(compute.model(found), y).float().mean())
