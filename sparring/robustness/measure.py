"""One attack on many images: which of them the network still gets right."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sparring.attacks.base import Attack
from sparring.attacks.sources import KeyedSource
from sparring.backends import engine_for
from sparring.data.arrays import Images
from sparring.logits import adversaries_or_images, logits_of, right
from sparring.modes import mode
from sparring.randomness import ImageStreams

Mask = npt.NDArray[np.bool_]

#: Epoch numbers that key evaluations' random numbers, from here down, one for each restart; no
#: training run gets that far.
_LAST_EPOCH = 2**24 - 1

#: Images that are attacked at a time.
BATCH = 64


@dataclass
class Extent:
    """Where adversaries lie; all is a not-a-number as soon as a pixel of one is.

    Attributes:
        linf, l2: largest distance of an adversary from its image, in the network's units.
        low, high: smallest and largest pixel; low is above high where there is no adversary.
    """

    linf: float = 0.0
    l2: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    def add(self, adversaries: Tensor, x: Tensor) -> None:
        """Take in the adversaries ``(n, ...)`` of the images ``x``, at least one."""
        delta = (adversaries.double() - x.double()).flatten(1)
        # NumPy's maximum is a not-a-number if either is; Python's may lose it.
        self.linf = float(np.maximum(self.linf, float(delta.abs().max())))
        self.l2 = float(np.maximum(self.l2, float(delta.norm(dim=1).max())))
        self.low = float(np.minimum(self.low, float(adversaries.min())))
        self.high = float(np.maximum(self.high, float(adversaries.max())))


@dataclass(frozen=True)
class Found:
    """What an attack left.

    Attributes:
        right: bool ``(n,)``: images that the network gets right after every restart.
        seconds: wall-clock, classification included.
        extent: of the adversaries.
        backend: ``fused`` or ``torch``.
    """

    right: Mask
    seconds: float
    extent: Extent
    backend: str


class Subject:
    """A network and the images that it is judged by.

    Args:
        model: from images to logits.
        images: where the images are; the first ``count`` are used.
        count: how many.
        bounds: the valid pixel range (low, high), in the units of the images.
        backend: of `logits`; attacks have their own.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Images,
        count: int,
        bounds: tuple[float, float] = (0.0, 1.0),
        backend: str = "auto",
    ) -> None:
        self.model, self.bounds, self.backend = model, bounds, backend
        dtype = next(model.parameters()).dtype
        which = slice(0, min(count, len(images)))
        self.x = torch.from_numpy(images.images(which)).to(dtype)
        self.y = torch.from_numpy(images.labels(which))
        self.count = len(self.y)

    def with_model(self, model: nn.Module) -> Subject:
        """Another network before the same images."""
        other = copy.copy(self)
        other.model = model
        return other

    def logits(self, x: Tensor) -> Tensor:
        """Logits ``(n, classes)`` without gradients, by the fused engine where it can."""
        with mode(self.model, training=False), torch.no_grad():
            engine = engine_for(self.backend, self.model, x)
            return self.model(x) if engine is None else engine.logits(x)

    def right(self, x: Tensor, y: Tensor) -> Mask:
        """Which images the network gets right, bool ``(n,)``."""
        with mode(self.model, training=False), torch.no_grad():
            # PyTorch judges: what an engine found must fool the network itself.
            found = [
                right(logits_of(self.model, part), labels)
                for part, labels in zip(torch.split(x, 256), torch.split(y, 256), strict=True)
            ]
        return torch.cat(found).numpy() if found else np.zeros(0, bool)

    def withstood(self, adversaries: Tensor, x: Tensor, y: Tensor) -> Mask:
        """Which images the network gets right as their adversaries; one of no numbers is none."""
        return self.right(adversaries_or_images(adversaries, x), y)

    def clean(self) -> Mask:
        """Which images the network gets right as they are."""
        return self.right(self.x, self.y)

    def attacked(
        self,
        attack: Attack,
        *,
        restarts: int = 1,
        seed: int = 0,
        images: int | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Found:
        """Attack the first images, each until a restart fools the network.

        An image that the network gets wrong as it is counts as wrong. An image's random numbers
        depend on (seed, restart, image) alone.

        Args:
            attack: what attacks; called on those images that are still right.
            restarts: how often.
            seed: keys the random numbers.
            images: only the first so many; None: all.
            tell: called with a line of progress after each restart.
        """
        count = self.count if images is None else min(images, self.count)
        began = time.perf_counter()
        right = self.right(self.x[:count], self.y[:count])
        extent = Extent()
        for restart in range(restarts):
            standing = np.flatnonzero(right)
            for start in range(0, len(standing), BATCH):
                chosen = standing[start : start + BATCH]
                x, y = self.x[chosen], self.y[chosen]
                streams = ImageStreams(seed, _LAST_EPOCH - restart, chosen)
                found = attack(self.model, x, y, generator=KeyedSource(streams))
                right[chosen] = self.withstood(found, x, y)
                extent.add(found, x)
            if tell is not None:
                tell(f"restart {restart + 1} of {restarts}: {right.mean():.3f} right")
        used = engine_for(attack.backend, self.model, self.x[:1]) if count else None
        return Found(
            right, time.perf_counter() - began, extent, "torch" if used is None else "fused"
        )
