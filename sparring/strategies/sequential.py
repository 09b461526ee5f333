"""One process does everything: the baseline that speed-up is counted from."""

from __future__ import annotations

import numpy as np

from sparring.errors import SparringError
from sparring.strategies.base import Run, Strategy
from sparring.strategies.telemetry import BatchRecord, RankLog


class Sequential(Strategy):
    """Attack a minibatch, update on it, take the next (Madry et al., ICLR 2018, section 3)."""

    def check(self, processes: int) -> None:
        """See `Strategy`."""
        if processes != 1:
            raise SparringError(
                f"strategy 'sequential' needs 1 process, not {processes}; expected another: "
                "'data_parallel' trains the same weights on several"
            )

    def train(self, run: Run) -> RankLog:
        """See `Strategy`."""
        self.check(run.comm.size)
        log, _ = run.begin("both")
        compute = run.compute
        gradients = np.empty(compute.gradient_count, compute.dtype)
        for number in range(run.start, run.updates):
            log.batch = number
            with log.phase("generate"):
                batch = compute.attack(number, slice(None))
                made_loss = compute.loss(batch) if run.record_strength else None
            with log.phase("update"):
                loss = compute.gradients(batch, gradients)
                compute.apply(gradients)
            log.batches += 1
            run.updated(BatchRecord(number, number, 0, ((0, number),), made_loss, loss))
        return log
