"""Trainings on real MPI ranks with a compute that only does bookkeeping (``strategy_ranks.py``)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.mpi import run_ranks

PROGRAM = str(Path(__file__).with_name("strategy_ranks.py"))
UPDATES = 23


@dataclass(eq=False)
class Case:
    """A training.

    Attributes:
        name: of the strategy.
        processes: MPI ranks.
        options: the strategy's, those of `sparring.strategies.Run`, and the compute's.
        slow_rank: the rank whose attacks take long.
        updates: their number.
    """

    name: str
    processes: int
    options: dict[str, Any] = field(default_factory=dict)
    slow_rank: int = -1
    updates: int = UPDATES

    def __str__(self) -> str:
        return "-".join(map(str, (self.name, self.processes, *self.options.values())))


_groups: dict[Case, list[Case]] = {}
_facts: dict[Case, list[dict[str, Any]]] = {}


def joint(*cases: Case) -> list[Case]:
    """Cases of which those on equally many ranks go through one launch, one after the other."""
    _groups.update({case: list(cases) for case in cases})
    return list(cases)


def trained(case: Case) -> list[dict[str, Any]]:
    """What each rank did, by rank."""
    if case not in _facts:
        group = [one for one in _groups.get(case, [case]) if one.processes == case.processes]
        try:
            _facts.update(zip(group, _launch(group), strict=True))
        except AssertionError:
            if len(group) == 1:
                raise
            for one in group:  # each by itself tells which of them it was
                _groups[one] = [one]
            return trained(case)
    return _facts[case]


def train(
    name: str, processes: int, slow_rank: int = -1, updates: int = UPDATES, **options: Any
) -> list[dict[str, Any]]:
    """`trained`, of a case with a launch of its own."""
    return trained(Case(name, processes, options, slow_rank, updates))


def _launch(cases: list[Case]) -> list[list[dict[str, Any]]]:
    told = [[case.name, case.options, case.updates, case.slow_rank] for case in cases]
    text = run_ranks(cases[0].processes, [PROGRAM, json.dumps(told)])
    return [json.loads(facts) for facts in re.findall("FACTS(.*)", text)]
