"""What a simulation found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sparring.modelling.simulator.limits import Limit
from sparring.strategies.telemetry import PHASES, BatchRecord

Floats = npt.NDArray[np.float64]


def no_phases(processes: int) -> dict[str, Floats]:
    """Zero seconds in each phase, for each rank."""
    return {phase: np.zeros(processes) for phase in PHASES}


@dataclass(frozen=True, eq=False)
class Result:
    """A simulated run.

    Attributes:
        processes: ranks.
        seconds: until the last rank ended.
        phases: seconds of each rank in each of `PHASES`, as `RankLog` has them.
        batches: minibatches (or shares of them) that each rank generated.
        records: the arrival log, for `sparring.strategies.replay.Replay`; losses are not a number.
        update_times: when each update ended, in seconds from the start.
        waiting_batches: at each update, finished minibatches that waited for the trainer.
        waiting_weights: the most messages of weights that waited for one generator.
        limit: what the time is spent on where it counts.
        counters: how often something happened, as in `RankLog`.
        fill_seconds: until the trainer had its first batch.
        drain_seconds: from when it had its last batch to the end.
        trainers: ranks that update; the others only generate, if there are others.
    """

    processes: int
    seconds: float
    phases: dict[str, Floats]
    batches: npt.NDArray[np.int64]
    records: tuple[BatchRecord, ...]
    update_times: Floats
    waiting_batches: npt.NDArray[np.int64]
    waiting_weights: int
    limit: Limit
    counters: Counter[str] = field(default_factory=Counter)
    fill_seconds: float = 0.0
    drain_seconds: float = 0.0
    trainers: int = 1

    def utilisation(self, rank: int) -> float:
        """Share of the time in which a rank generated or updated."""
        busy = self.phases["generate"][rank] + self.phases["update"][rank]
        return float(busy / self.seconds) if self.seconds else 0.0

    @property
    def trainer_utilisation(self) -> float:
        """Of rank 0."""
        return self.utilisation(0)

    @property
    def generator_utilisation(self) -> float:
        """Mean over all ranks but trainers; of rank 0 if it is alone."""
        if self.processes == 1:
            return self.utilisation(0)
        busy = (self.phases["generate"] + self.phases["update"])[self.trainers :]
        return float(busy.mean() / self.seconds) if self.seconds else 0.0

    @property
    def staleness(self) -> npt.NDArray[np.int64]:
        """Of each update's batch, in updates."""
        return np.array([record.staleness for record in self.records], np.int64)
