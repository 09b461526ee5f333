"""One process does everything: the baseline that speed-up is counted from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sparring.compute import Compute
from sparring.errors import SparringError
from sparring.strategies.base import Strategy
from sparring.strategies.telemetry import RankLog

if TYPE_CHECKING:
    from mpi4py import MPI


class Sequential(Strategy):
    """Attack a minibatch, update on it, take the next (Madry et al., ICLR 2018, section 2.1)."""

    def check(self, processes: int) -> None:
        """See `Strategy`."""
        if processes != 1:
            raise SparringError(f"strategy 'sequential' needs 1 process, not {processes}")

    def train(self, comm: MPI.Intracomm, compute: Compute, updates: int) -> RankLog:
        """See `Strategy`."""
        self.check(comm.size)
        log = RankLog("both")
        gradients = np.empty(compute.gradient_count, compute.dtype)
        for number in range(updates):
            with log.phase("generate"):
                batch = compute.attack(number, slice(None))
            with log.phase("update"):
                log.losses.append(compute.gradients(batch, gradients))
                compute.apply(gradients)
            log.batches += 1
            log.staleness.append(0)
        return log
