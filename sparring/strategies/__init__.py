"""How adversarial training is spread over MPI ranks.

A strategy is called on every rank with the same number of updates; it imports no torch and drives
`sparring.compute.interface.Compute`. All of them train the same minibatches in the same
numbering, whatever the number of ranks.
"""

from __future__ import annotations

from sparring.strategies.base import Run, Strategy
from sparring.strategies.data_parallel import DataParallel
from sparring.strategies.pipeline import Pipeline
from sparring.strategies.sequential import Sequential
from sparring.strategies.sharded import Sharded
from sparring.strategies.telemetry import PHASES, RankLog

__all__ = [
    "PHASES",
    "STRATEGIES",
    "DataParallel",
    "Pipeline",
    "RankLog",
    "Run",
    "Sequential",
    "Sharded",
    "Strategy",
]

#: Strategies by the names that studies use.
STRATEGIES: dict[str, type[Strategy]] = {
    "sequential": Sequential,
    "pipeline": Pipeline,
    "sharded": Sharded,
    "data_parallel": DataParallel,
}
