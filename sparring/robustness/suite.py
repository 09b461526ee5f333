"""The attacks of an evaluation, each with its threat model and how often it starts anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sparring.attacks.base import Attack
from sparring.robustness.scale import Scale

#: The radius at which the field compares MNIST networks.
EPSILON = 0.3
#: Radius of the L2 attack, its steps and their length: MadryLab/mnist_challenge, config_l2.json.
EPSILON_L2, STEPS_L2, STEP_L2 = 2.0, 40, 0.125

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Entry:
    """One attack of the suite.

    Attributes:
        name: in tables.
        threat: ``linf``, ``l2``, or ``none``: no ball, only a pixel range.
        epsilon: radius in pixels of 0 to 1; 0 where there is no ball.
        step_size: of a step, in pixels of 0 to 1; 0 where it is no length.
        steps, restarts: how long, and how often.
        objective: what it ascends.
        build: from scale and pixel range to the attack.
    """

    name: str
    threat: str
    epsilon: float
    step_size: float
    steps: int
    restarts: int
    objective: str
    build: Callable[[Scale, Bounds], Attack]


def linf(name: str, epsilon: float, step: float, steps: int, restarts: int = 1,
         objective: str = "cross_entropy") -> Entry:  # fmt: skip
    """PGD in L-infinity from random starts."""

    def build(scale: Scale, bounds: Bounds) -> Attack:
        return scale.pgd(bounds, epsilon, step, steps, objective=objective)

    return Entry(name, "linf", epsilon, step, steps, restarts, objective, build)


def l2(name: str, epsilon: float, step: float, steps: int) -> Entry:
    """PGD in L2 from a random start."""

    def build(scale: Scale, bounds: Bounds) -> Attack:
        return scale.pgd(bounds, epsilon, step, steps, norm="l2")

    return Entry(name, "l2", epsilon, step, steps, 1, "cross_entropy", build)


def study(steps: int = 32) -> Entry:
    """The original study's own metric."""
    return Entry("study", "none", 0.0, 0.0, steps, 1, "study",
                 lambda scale, bounds: scale.study(steps))  # fmt: skip


def suite(epsilon: float = EPSILON, restarts: int = 10) -> tuple[Entry, ...]:
    """The attacks in order.

    PGD-40 with steps of 0.01 is Madry and others' (ICLR 2018, section 4). Carlini and others ("On
    Evaluating Adversarial Robustness", 2019) ask for more steps and random restarts (sections 4.8
    and 4.9) and for another loss (section 3.1); the margin is one.
    """
    step = epsilon / 30
    return (
        linf("pgd_40", epsilon, step, 40),
        linf(f"pgd_100x{restarts}", epsilon, step, 100, restarts),
        linf(f"margin_100x{restarts}", epsilon, step, 100, restarts, "margin"),
        l2("pgd_l2", EPSILON_L2, STEP_L2, STEPS_L2),
        study(),
    )
