"""What is measured: configurations, competitors, and how often."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sparring.benchmark.machine import cores
from sparring.errors import SparringError

#: Batches up to this size get the full number of rounds, larger ones fewer.
SMALL_BATCH = 64
#: A repetition that is expected to be shorter is preceded by a call that is not timed: the caches
#: are another competitor's.
WARM_SECONDS = 0.25

#: Every competitor, in the order of tables, with the name that figures and tables show.
COMPETITORS: Mapping[str, str] = MappingProxyType(
    {
        "fused": "Sparring, fused",
        "sparring": "Sparring, PyTorch",
        "plain": "plain PyTorch",
        "compile": "torch.compile",
        "torchattacks": "torchattacks",
        "foolbox": "Foolbox",
        "art": "ART",
    }
)


@dataclass(frozen=True)
class Numbers:
    """The attack: PGD in L-infinity on cross-entropy, from the image itself.

    Attributes:
        epsilon, step_size: in the units of the pixels.
        low, high: the valid pixel range.
    """

    epsilon: float = 0.3
    step_size: float = 0.02
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, order=True)
class Configuration:
    """One cell of the table: all competitors are compared at it."""

    threads: int
    steps: int
    batch_size: int

    def __str__(self) -> str:
        return (
            f"{self.threads} thread{'s' if self.threads > 1 else ''}, {self.steps} steps, "
            f"batch {self.batch_size}"
        )


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long.

    Attributes:
        batch_sizes, threads, steps: every combination is a configuration.
        competitors: names from `COMPETITORS`.
        rounds: fewest and most rounds of a configuration with a batch of `SMALL_BATCH` or less.
        rounds_large: fewest rounds beyond.
        budget_seconds: a configuration with its fewest rounds behind it begins no round later.
        repetition_seconds: an attack that is shorter is repeated in its repetition.
        network: ``"study"`` or ``"madry"``.
        dataset, data: as in `sparring.data.load`.
        seed: of weights, choice of images and the random order.
    """

    batch_sizes: tuple[int, ...] = (1, 4, 16, 64, 256, 1024)
    threads: tuple[int, ...] = (1,)
    steps: tuple[int, ...] = (15, 32)
    competitors: tuple[str, ...] = tuple(COMPETITORS)
    rounds: tuple[int, int] = (6, 15)
    rounds_large: int = 3
    budget_seconds: float = 8.0
    repetition_seconds: float = 0.05
    network: str = "study"
    dataset: str = "mnist-5k"
    data: str | None = None
    seed: int = 0

    def configurations(self, threads: int, shuffled: random.Random) -> list[Configuration]:
        """All configurations with these threads, in random order."""
        found = [Configuration(threads, s, b) for s in self.steps for b in self.batch_sizes]
        shuffled.shuffle(found)
        return found

    def goes_on(self, configuration: Configuration, done: int, spent: float) -> bool:
        """Whether another round begins after so many rounds and seconds."""
        fewest, most = self.rounds
        if configuration.batch_size > SMALL_BATCH:
            fewest = min(fewest, self.rounds_large)
        return done < fewest or (done < most and spent < self.budget_seconds)

    def calls(self, expected_seconds: float) -> int:
        """How often an attack that takes so long is repeated in one repetition."""
        return min(10_000, max(1, math.ceil(self.repetition_seconds / max(expected_seconds, 1e-9))))


def presets() -> dict[str, Plan]:
    """The plans by name, for this machine's cores."""
    both = tuple(sorted({1, cores()}))
    return {
        "smoke": Plan(
            batch_sizes=(1, 16), steps=(15,), rounds=(2, 2), rounds_large=2, budget_seconds=0.0,
            repetition_seconds=0.0,
            competitors=tuple(name for name in COMPETITORS if name != "compile"),
        ),
        "laptop": Plan(threads=both),
        "paper": Plan(threads=both, rounds=(20, 60), rounds_large=10, budget_seconds=60.0,
                      repetition_seconds=0.2),
    }  # fmt: skip


def chosen(preset: str, **settings: Any) -> Plan:
    """A preset with some of its settings replaced; None and empty leave a setting as it is.

    Raises:
        SparringError: if there is no such competitor.
    """
    given = {name: value for name, value in settings.items() if value not in (None, ())}
    for name in ("batch_sizes", "threads", "steps"):
        if name in given:
            given[name] = tuple(sorted(set(given[name])))
    if "competitors" in given:
        given["competitors"] = in_order(given["competitors"])
    if "rounds" in given:
        given["rounds_large"] = given["rounds"]
        given["rounds"] = (given["rounds"], given["rounds"])
    return replace(presets()[preset], **given)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Competitors in the order of tables.

    Raises:
        SparringError: if one is unknown.
    """
    wanted = set(names)
    if unknown := sorted(wanted - set(COMPETITORS)):
        raise SparringError(
            f"competitor must be one of {', '.join(COMPETITORS)}, not {unknown[0]!r}"
        )
    return tuple(name for name in COMPETITORS if name in wanted)
