"""Train again, on one process, exactly what an asynchronous run trained.

The arrival log of a run tells, for every update, which minibatch it consumed and which version of
the weights each ascent step of that minibatch saw. That is all that chance decided: everything else
follows from the seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparring.compute import Array
from sparring.errors import SparringError
from sparring.strategies.base import Run, Strategy
from sparring.strategies.telemetry import BatchRecord, RankLog


@dataclass(frozen=True)
class Replay(Strategy):
    """Follow an arrival log on one process.

    The weights come out the same bit for bit on the same machine with the same number of threads:
    every minibatch is computed whole, by the same operations on the same numbers. (A log of
    `Sharded` or `DataParallel` needs no replay: they are deterministic; and their shares round
    otherwise than whole minibatches.)

    Attributes:
        arrivals: one record per update, from the first update of the run.
    """

    arrivals: Sequence[BatchRecord]

    def check(self, processes: int) -> None:
        """See `Strategy`."""
        if processes != 1:
            raise SparringError(f"a replay needs 1 process, not {processes}")

    def train(self, run: Run) -> RankLog:
        """See `Strategy`.

        Raises:
            SparringError: also if the log does not hold the updates that are due, in order.
        """
        self.check(run.comm.size)
        updates = [record.update for record in self.arrivals]
        if updates != list(range(run.start, run.updates)):
            raise SparringError(
                f"the arrival log must hold updates {run.start} to {run.updates - 1} in order; it "
                f"holds {len(updates)}, from {updates[0] if updates else 'none'}"
            )
        log, _ = run.begin("both")
        compute = run.compute
        last_use = _last_uses(self.arrivals)
        history: dict[int, Array] = {run.start: _weights(run)}
        gradients = np.empty(compute.gradient_count, compute.dtype)
        for record in self.arrivals:
            changes, log.batch = dict(record.versions), record.batch

            def on_step(step: int, changes: dict[int, int] = changes) -> None:
                if step in changes:
                    compute.write_weights(history[changes[step]])

            with log.phase("generate"):
                batch = compute.attack(record.batch, slice(None), on_step)
                made_loss = compute.loss(batch) if run.record_strength else None
            compute.write_weights(history[record.update])
            with log.phase("update"):
                loss = compute.gradients(batch, gradients)
                compute.apply(gradients)
            log.batches += 1
            run.updated(
                BatchRecord(
                    record.update, record.batch, record.generator, record.versions, made_loss, loss
                )
            )
            history[record.update + 1] = _weights(run)
            for version in [v for v in history if last_use.get(v, -1) <= record.update]:
                if version != record.update + 1:
                    del history[version]
        return log


def _weights(run: Run) -> Array:
    weights = np.empty(run.compute.weight_count, run.compute.dtype)
    run.compute.read_weights(weights)
    return weights


def _last_uses(arrivals: Iterable[BatchRecord]) -> dict[int, int]:
    """For each version of the weights, the last update whose batch saw it."""
    uses: dict[int, int] = {}
    for record in arrivals:
        for _, version in record.versions:
            uses[version] = max(record.update, uses.get(version, -1))
    return uses


def save_arrivals(path: Path, records: Iterable[BatchRecord]) -> None:
    """Write an arrival log, one JSON object a line."""
    lines = [
        json.dumps(
            {
                "update": r.update,
                "batch": r.batch,
                "generator": r.generator,
                "versions": r.versions,
                "made_loss": r.made_loss,
                "loss": r.loss,
            }
        )
        for r in records
    ]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def load_arrivals(path: Path) -> list[BatchRecord]:
    """Read an arrival log.

    Raises:
        SparringError: if the file is missing or a line of it is no record.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SparringError(f"{path}: cannot be read as an arrival log ({error})") from None
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            fields = json.loads(line)
            fields["versions"] = tuple((int(s), int(v)) for s, v in fields["versions"])
            records.append(BatchRecord(**fields))
        except (ValueError, TypeError, KeyError) as error:
            raise SparringError(
                f"{path}:{number}: expected the JSON record of an update ({error})"
            ) from None
    return records
