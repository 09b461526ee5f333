"""All attacks of the suite on one network, and the worst of them image by image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sparring.robustness import peers
from sparring.robustness.measure import Found, Mask, Subject
from sparring.robustness.results import Row, wilson
from sparring.robustness.scale import Scale
from sparring.robustness.suite import Entry

#: AutoAttack runs on a fixed number of first test images: it takes many times as long.
AUTOATTACK_IMAGES = 1000

#: By how much an adversary may leave its ball, in pixels of 0 to 1: rounding of float32.
SLACK = 1e-5


@dataclass
class Evaluation:
    """The masks and rows of a network, attack by attack.

    Args:
        subject: network and images.
        scale: the units of its images.
        epsilon: L-infinity radius in pixels of 0 to 1.
        seed: keys the attacks' random numbers.
        tell: called with a line of progress.
    """

    subject: Subject
    scale: Scale
    epsilon: float
    seed: int = 0
    tell: Callable[[str], None] = lambda line: None
    rows: list[Row] = field(default_factory=list)
    masks: dict[str, Mask] = field(default_factory=dict)
    threats: dict[str, str] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)

    def clean(self) -> float:
        """Accuracy without attack."""
        mask = self.subject.clean()
        self._keep(Row("attack", "clean", "ok", None, len(mask)), mask, "clean")
        return float(mask.mean())

    def attack(self, entry: Entry, images: int | None = None) -> Found:
        """One attack of the suite on the first images."""
        found = self.subject.attacked(
            entry.build(self.scale, self.subject.bounds), restarts=entry.restarts, seed=self.seed,
            images=images, tell=lambda line: self.tell(f"{entry.name}: {line}"),
        )  # fmt: skip
        unit = self.scale.unit
        row = Row(
            "attack", entry.name, "ok", None, len(found.right), threat=entry.threat,
            epsilon=entry.epsilon or None, step_size=entry.step_size or None, steps=entry.steps,
            restarts=entry.restarts, objective=entry.objective, seconds=found.seconds,
            backend=found.backend, distance_linf=found.extent.linf / unit,
            distance_l2=found.extent.l2 / unit,
        )  # fmt: skip
        self._keep(row, found.right, entry.threat)
        self.constrain(entry.name, entry.threat, entry.epsilon, found)
        return found

    def constrain(self, name: str, threat: str, epsilon: float, found: Found) -> None:
        """Note an attack whose adversaries left the ball or the pixel range."""
        extent, (low, high) = found.extent, self.subject.bounds
        far = {"linf": extent.linf, "l2": extent.l2}.get(threat, 0.0) / self.scale.unit
        # Comparisons with a not-a-number are false: it is outside of everything.
        if not far <= epsilon + SLACK:
            self.outside.append(f"{name}: an adversary is {far:.6f} away")
        attacked = not extent.low > extent.high
        if attacked and not (threat == "none" or (low <= extent.low and extent.high <= high)):
            self.outside.append(f"{name}: pixels from {extent.low:.6f} to {extent.high:.6f}")
        elif not math.isfinite(extent.linf):
            self.outside.append(f"{name}: an adversary is not of finite numbers")

    def autoattack(self, images: int = AUTOATTACK_IMAGES) -> None:
        """AutoAttack standard on the first images, if pyautoattack is installed."""
        count = min(images, self.subject.count)
        common = {"threat": "linf", "epsilon": self.epsilon, "objective": "autoattack standard"}
        result = peers.autoattack(
            self.subject, self.epsilon * self.scale.unit, count, self.seed,
            lambda line: self.tell(f"autoattack: {line}"),
        )  # fmt: skip
        if isinstance(result, str):
            self.rows.append(Row("attack", "autoattack", "skipped", None, count, message=result,
                                 **common))  # type: ignore[arg-type]  # fmt: skip
            return
        row = Row("attack", "autoattack", "ok", None, count, seconds=result.found.seconds,
                  backend="torch", package=result.package,
                  distance_linf=result.found.extent.linf / self.scale.unit,
                  distance_l2=result.found.extent.l2 / self.scale.unit,
                  **common)  # type: ignore[arg-type]  # fmt: skip
        self._keep(row, result.found.right, "linf")
        self.constrain("autoattack", "linf", self.epsilon, result.found)

    def worst_cases(self) -> None:
        """An image counts as right only if it survived every attack of the threat model.

        The threat models stand apart, since nobody promised to withstand all of them; the last row
        takes them together. AutoAttack saw fewer images, so there is a row for these.
        """
        linf = [name for name, threat in self.threats.items() if threat in ("clean", "linf")]
        attacked = [name for name in linf if name != "autoattack"]
        self._worst("worst_case_linf", attacked, "linf")
        if "autoattack" in self.masks:
            self._worst("worst_case_linf_with_autoattack", linf, "linf")
        self._worst("worst_case_all", list(self.threats), "all")

    def worst(self, names: Sequence[str]) -> Mask:
        """Images that survived all of these attacks, as far as all of them looked."""
        count = min(len(self.masks[name]) for name in names)
        return np.asarray(np.stack([self.masks[name][:count] for name in names]).all(axis=0))

    def _worst(self, name: str, names: Sequence[str], threat: str) -> None:
        mask = self.worst(names)
        told = "over " + ", ".join(n for n in names if n != "clean")
        low, high = wilson(int(mask.sum()), len(mask))
        epsilon = self.epsilon if threat == "linf" else None
        self.rows.append(Row("worst_case", name, "ok", float(mask.mean()), len(mask), low=low,
                             high=high, threat=threat, epsilon=epsilon, message=told))  # fmt: skip

    def _keep(self, row: Row, mask: Mask, threat: str) -> None:
        low, high = wilson(int(mask.sum()), len(mask))
        self.rows.append(replace(row, value=float(mask.mean()), low=low, high=high))
        self.masks[row.name], self.threats[row.name] = mask, threat
