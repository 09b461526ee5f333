"""What the workloads of training share, whether ranks compute or sleep. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.strategies import PHASES

if TYPE_CHECKING:
    from mpi4py import MPI

    from experiments.parameters import Parameters
    from sparring.compute.pytorch import TorchCompute
    from sparring.modelling.emulation import EmulatedCompute
    from sparring.strategies import RankLog


class Trained:
    """A workload that trains ``updates`` updates in a repetition."""

    comm: MPI.Intracomm
    parameters: Parameters
    compute: TorchCompute | EmulatedCompute
    log: RankLog

    def prepare(self, warmup: bool) -> None:
        """Go back to the initial weights; a warm-up trains a few updates for each generator."""
        self.warmup = warmup
        self.compute.reset()
        few = self.parameters.warmup_updates * max(1, self.comm.size - 1)
        self.updates = min(few, self.parameters.updates) if warmup else self.parameters.updates

    def metrics(self, seconds: float, loss: float | None) -> dict[str, Any]:
        """Those of the last repetition that need no evaluation; ``loss`` stands among them."""
        log, images = self.log, sum(self.compute.rows(n) for n in range(self.updates))
        staleness = [record.staleness for record in log.records]
        return {
            "batches": self.updates,
            "images_per_second": images / seconds,
            "staleness_mean": float(np.mean(staleness)) if staleness else None,
            "staleness_max": max(staleness, default=None),
            "loss": loss,
            "fill_seconds": log.fill_seconds,
            "drain_seconds": log.drain_seconds,
            "optimizer_seconds": self.compute.optimizer_seconds,
            "backend_used": self.compute.backend,
            "trainers_used": log.counters["trainers"] or None,
            "waiting": log.waiting,
        }

    def rank_report(self) -> dict[str, Any]:
        """This rank's row of the ranks table."""
        log = self.log
        return {
            "role": log.role,
            **{f"{phase}_seconds": log.seconds[phase] for phase in PHASES},
            "batches": log.batches,
            "bytes_sent": log.bytes_sent,
            "bytes_received": log.bytes_received,
            "messages_sent": log.messages_sent,
        }

    def teardown(self) -> None:
        """Nothing outlives the process."""
