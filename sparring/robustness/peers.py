"""Other libraries' attacks: AutoAttack, and Foolbox's PGD as a check of ours."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparring.attacks.base import frozen
from sparring.robustness.measure import BATCH, Extent, Found, Subject

#: Images that AutoAttack attacks at a time.
AUTOATTACK_BATCH = 100


@dataclass(frozen=True)
class Peer:
    """What another library found, and its name and version."""

    found: Found
    package: str


def _version(package: str) -> str | None:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return None


class _Judge(nn.Module):
    """The network, whose logits come from the fused engine where nobody wants gradients.

    Square attack and every look whether an image is fooled ask for logits only.
    """

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._subject = subject
        self.model = subject.model

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(n, classes)``."""
        if torch.is_grad_enabled() and x.requires_grad:
            logits: Tensor = self.model(x)
            return logits
        return self._subject.logits(x.contiguous())


def autoattack(
    subject: Subject, epsilon: float, images: int, seed: int, tell: Callable[[str], None]
) -> Peer | str:
    """AutoAttack's standard version on the first images, or why it could not run.

    Source: Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of
    diverse parameter-free attacks", ICML 2020; their code, as the package pyautoattack has it.
    """
    package = _version("pyautoattack")
    if package is None:
        return "pyautoattack is not installed: make peers, or pip install pyautoattack"
    low, high = subject.bounds
    if (low, high) != (0.0, 1.0):
        return "AutoAttack takes images in [0, 1] only, and this network takes normalised ones"
    library: Any = importlib.import_module("pyautoattack")

    x, y = subject.x[:images], subject.y[:images]
    began = time.perf_counter()
    heard = _Heard(tell)
    logger = logging.getLogger("auto-attack")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(heard)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        judge = _Judge(subject)
        with (
            frozen(judge),
            torch.random.fork_rng(devices=[]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            attack = library.AutoAttack(judge, norm="Linf", eps=epsilon, seed=seed, device="cpu")
            found, _ = attack.run_standard_evaluation(x, y, batch_size=AUTOATTACK_BATCH)
    finally:
        logger.removeHandler(heard)
        logger.setLevel(level)
        logger.propagate = propagate
    return Peer(_found(subject, x, y, found.detach(), began), package)


class _Heard(logging.Handler):
    """Passes on what AutoAttack says at the end of each of its attacks."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        text = record.getMessage()
        if "accuracy" in text:
            self._tell(text)


def foolbox_pgd(
    subject: Subject, epsilon: float, step_size: float, steps: int, images: int, seed: int
) -> Peer | str:
    """Foolbox's PGD in L-infinity from a random start on the first images, or why it did not run.

    Lengths are in the network's units. Foolbox draws from PyTorch's global generator, which is left
    as it was.
    """
    package = _version("foolbox")
    if package is None:
        return "Foolbox is not installed: make peers"
    foolbox: Any = importlib.import_module("foolbox")

    x, y = subject.x[:images], subject.y[:images]
    began = time.perf_counter()
    with frozen(subject.model), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        wrapped = foolbox.PyTorchModel(subject.model, bounds=subject.bounds, device="cpu")
        attack = foolbox.attacks.LinfPGD(abs_stepsize=step_size, steps=steps, random_start=True)
        criterion = foolbox.criteria.Misclassification
        parts = zip(torch.split(x, BATCH), torch.split(y, BATCH), strict=True)
        found = torch.cat(
            [attack.run(wrapped, part, criterion(label), epsilon=epsilon) for part, label in parts]
        )
    return Peer(_found(subject, x, y, found.detach(), began), package)


def _found(subject: Subject, x: Tensor, y: Tensor, adversaries: Tensor, began: float) -> Found:
    """Judge adversaries as our own are judged; images that were wrong before stay wrong."""
    right = np.logical_and(subject.right(x, y), subject.withstood(adversaries, x, y))
    extent = Extent()
    extent.add(adversaries, x)
    return Found(right, time.perf_counter() - began, extent, "torch")
