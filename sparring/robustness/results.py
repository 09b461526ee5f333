"""What an evaluation tells, row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass

COLUMNS = (
    "schema_version", "run", "kind", "name", "status", "value", "value_low", "value_high",
    "expected", "message", "images", "threat", "epsilon", "step_size", "steps", "restarts",
    "objective", "seconds", "backend", "distance_linf", "distance_l2", "package", "network",
    "dataset", "normalized", "checkpoint", "checkpoint_digest", "updates", "seed", "threads", "cpu",
    "torch_version", "source", "started_at",
)  # fmt: skip

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Row:
    """An attack's accuracy, or a check.

    Attributes:
        kind: ``attack``, ``worst_case`` (over attacks) or ``check``.
        name: of the attack or check.
        status: of an attack ``ok``, ``skipped`` or ``failed``; of a check ``passed``, ``warning``,
            ``failed`` or, where it needs a library that is absent, ``skipped``.
        value: accuracy (a fraction of the images), or what the check found.
        images: how many it was measured on.
        expected: of a check, in words.
        message: why.
        low, high: 95 % interval for the number of images.
        threat, epsilon, step_size, steps, restarts, objective: see `suite.Entry`.
        seconds: wall-clock.
        backend: ``fused`` or ``torch``.
        distance_linf, distance_l2: the largest, in pixels of 0 to 1.
        package: another library's name and version.
    """

    kind: str
    name: str
    status: str
    value: float | None
    images: int
    expected: str = ""
    message: str = ""
    low: float | None = None
    high: float | None = None
    threat: str = ""
    epsilon: float | None = None
    step_size: float | None = None
    steps: int | None = None
    restarts: int | None = None
    objective: str = ""
    seconds: float | None = None
    backend: str = ""
    distance_linf: float | None = None
    distance_l2: float | None = None
    package: str = ""


def wilson(right: int, images: int) -> tuple[float, float]:
    """95 % interval of an accuracy for the number of images (Wilson, JASA 22, 1927).

    It is about the images alone: another training run may differ by more.
    """
    z = 1.96
    q = right / images
    centre = (q + z * z / (2 * images)) / (1 + z * z / images)
    half = z / (1 + z * z / images) * math.sqrt(q * (1 - q) / images + z * z / (4 * images**2))
    return max(0.0, centre - half), min(1.0, centre + half)
