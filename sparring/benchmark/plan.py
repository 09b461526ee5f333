"""What is measured: configurations, competitors, and how often."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

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

#: What may be measured.
ATTACK: Final = "attack"
UPDATE: Final = "update"
ITERATION: Final = "iteration"
#: Every task, and who can do it: the other libraries only attack.
TASKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        ATTACK: tuple(COMPETITORS),
        UPDATE: ("fused", "sparring", "plain"),
        ITERATION: ("fused", "sparring", "plain"),
    }
)

#: What weights a network may have: as they are drawn, or after some seconds of clean training. How
#: fast the fused engine is depends on how many ReLUs they leave open.
WEIGHTS = ("initial", "trained")


@dataclass(frozen=True)
class Numbers:
    """The attack, PGD in L-infinity on cross-entropy from the image itself; and the update, by SGD.

    Attributes:
        epsilon, step_size: in the units of the pixels.
        low, high: the valid pixel range.
        learning_rate, momentum: of the optimizer.
    """

    epsilon: float = 0.3
    step_size: float = 0.02
    low: float = 0.0
    high: float = 1.0
    learning_rate: float = 0.01
    momentum: float = 0.5


@dataclass(frozen=True, order=True)
class Configuration:
    """One cell of the table: all competitors are compared at it.

    Attributes:
        task: from `TASKS`.
        threads: of each competitor.
        steps: of the attack; 0 where there is none.
        batch_size: images.
    """

    task: str
    threads: int
    steps: int
    batch_size: int

    def __str__(self) -> str:
        steps = f"{self.steps} steps, " if self.steps else ""
        return (
            f"{self.task}, {self.threads} thread{'s' if self.threads > 1 else ''}, {steps}"
            f"batch {self.batch_size}"
        )


@dataclass(frozen=True)
class Plan:
    """What is measured of a task, and how long.

    Attributes:
        task: from `TASKS`.
        batch_sizes, threads, steps: every combination is a configuration. An update has no steps:
            they are (0,).
        competitors: names from `COMPETITORS`.
        rounds: fewest and most rounds of a configuration with a batch of `SMALL_BATCH` or less.
        rounds_large: fewest rounds beyond.
        budget_seconds: a configuration with its fewest rounds behind it begins no round later.
        repetition_seconds: what is shorter is repeated in its repetition.
        network: ``"study"`` or ``"madry"``.
        weights: from `WEIGHTS`.
        dataset, data: as in `sparring.data.load`.
        seed: of weights, choice of images and the random order.
    """

    task: str = ATTACK
    batch_sizes: tuple[int, ...] = (1, 4, 16, 64, 256, 1024)
    threads: tuple[int, ...] = (1,)
    steps: tuple[int, ...] = (15, 32)
    competitors: tuple[str, ...] = tuple(COMPETITORS)
    rounds: tuple[int, int] = (6, 15)
    rounds_large: int = 3
    budget_seconds: float = 8.0
    repetition_seconds: float = 0.05
    network: str = "study"
    weights: str = "initial"
    dataset: str = "mnist-5k"
    data: str | None = None
    seed: int = 0

    def configurations(self, threads: int, shuffled: random.Random) -> list[Configuration]:
        """All configurations with these threads, in random order."""
        found = [
            Configuration(self.task, threads, steps, batch_size)
            for steps in self.steps
            for batch_size in self.batch_sizes
        ]
        shuffled.shuffle(found)
        return found

    def goes_on(self, configuration: Configuration, done: int, spent: float) -> bool:
        """Whether another round begins after so many rounds and seconds."""
        fewest, most = self.rounds
        if configuration.batch_size > SMALL_BATCH:
            fewest = min(fewest, self.rounds_large)
        return done < fewest or (done < most and spent < self.budget_seconds)

    def calls(self, expected_seconds: float) -> int:
        """How often what takes so long is repeated in one repetition."""
        return min(10_000, max(1, math.ceil(self.repetition_seconds / max(expected_seconds, 1e-9))))


def presets() -> dict[str, dict[str, Plan]]:
    """The plans by name and task, for this machine's cores."""
    both = tuple(sorted({1, cores()}))
    smoke = Plan(rounds=(2, 2), rounds_large=2, budget_seconds=0.0, repetition_seconds=0.0)
    laptop = Plan(threads=both, rounds=(6, 15), budget_seconds=6.0)
    paper = Plan(threads=both, rounds=(20, 60), rounds_large=10, budget_seconds=60.0,
                 repetition_seconds=0.2)  # fmt: skip
    return {
        "smoke": _tasks(
            replace(smoke, batch_sizes=(1, 16), steps=(15,),
                    competitors=tuple(name for name in COMPETITORS if name != "compile")),
            update=(2, 16), iteration=((16,), (15,)),
        ),
        # Batches of 1,024 would take half of the time.
        "laptop": _tasks(
            replace(laptop, batch_sizes=(1, 4, 16, 64, 256)), update=(2, 16, 64),
            iteration=((64,), (32,)),
        ),
        "paper": _tasks(
            paper, update=(2, 16, 64, 256, 1024), iteration=((16, 64, 256), (15, 32)),
        ),
    }  # fmt: skip


def _tasks(
    attack: Plan, update: tuple[int, ...], iteration: tuple[tuple[int, ...], tuple[int, ...]]
) -> dict[str, Plan]:
    """Plans of all tasks: an attack's, updates' batch sizes, iterations' batch sizes and steps."""
    trains = replace(attack, competitors=TASKS[UPDATE])
    return {
        ATTACK: attack,
        UPDATE: replace(trains, task=UPDATE, batch_sizes=update, steps=(0,)),
        ITERATION: replace(trains, task=ITERATION, batch_sizes=iteration[0], steps=iteration[1]),
    }


def chosen(preset: str, tasks: Iterable[str] = (ATTACK,), **settings: Any) -> list[Plan]:
    """A preset's tasks with some settings replaced; None and empty leave a setting as it is.

    Steps do not concern updates, and a task that none of the competitors asked for can do is left
    out.

    Raises:
        SparringError: if there is no such competitor, or nothing to measure.
    """
    given = {name: value for name, value in settings.items() if value not in (None, ())}
    for name in ("batch_sizes", "threads", "steps"):
        if name in given:
            given[name] = tuple(sorted(set(given[name])))
    if "rounds" in given:
        given["rounds_large"] = given["rounds"]
        given["rounds"] = (given["rounds"], given["rounds"])
    wanted = set(tasks)
    named = in_order(given.pop("competitors", ()))
    plans = []
    for task, plan in presets()[preset].items():
        able = tuple(name for name in named if name in TASKS[task]) if named else plan.competitors
        if task in wanted and able:
            own = {**given, "competitors": able, **({"steps": (0,)} if task == UPDATE else {})}
            plans.append(replace(plan, **own))
    if not plans:
        raise SparringError(
            f"none of {', '.join(named)} can do an {' or '.join(sorted(wanted))}; expected one of "
            f"{', '.join(TASKS[UPDATE])}"
        )
    return plans


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
