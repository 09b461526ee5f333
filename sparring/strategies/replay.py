"""Train again, on one process, exactly what an asynchronous run trained.

The arrival log of a run tells, for every update, which minibatch it consumed and which version of
the weights each ascent step of that minibatch saw. That is all that chance decided: everything else
follows from the seed.
"""

from __future__ import annotations

import json
import logging
import math
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparring import outputs
from sparring.compute.interface import Array, Batch, Compute
from sparring.errors import SparringError
from sparring.strategies.base import (
    Run,
    Strategy,
    check_refresh,
    check_refresh_options,
    check_types,
    shard,
)
from sparring.strategies.telemetry import BatchRecord, RankLog

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Replay(Strategy):
    """Follow an arrival log on one process.

    The weights come out the same bit for bit on the same machine with the same number of threads:
    every minibatch is computed whole, by the same operations on the same numbers. (A log of
    `Sharded` or `DataParallel` needs no replay: they are deterministic; and their shares round
    otherwise than whole minibatches.)

    Attributes:
        arrivals: one record per update, from the first update of the run.
        study_partial_batches: train on whole receive buffers, as `Pipeline` does with this option
            and ``receive = "probe"``: a partial batch leaves rows of the batch before behind it.
        refresh_steps, refresh_scale: of the run, as in `Pipeline` and `Sharded`.
        trainers: ranks that updated together, each on its share, as in `Pipeline`. Bit for bit if
            they were on one node, where their gradients are added up in the order of their ranks;
            up to rounding if they synchronised a batch normalisation, not if theirs was local.
        room_bytes: weights that are still needed are kept in memory up to this size, beyond it in
            a temporary file.

    Raises:
        ValueError: for an option out of range or of another type.
    """

    arrivals: Sequence[BatchRecord]
    study_partial_batches: bool = False
    refresh_steps: int = 0
    refresh_scale: float = 1.0
    trainers: int = 1
    room_bytes: int = 2**31

    def __post_init__(self) -> None:
        check_types(self)
        if self.refresh_steps and self.study_partial_batches:
            raise ValueError("refresh_steps contradicts study_partial_batches")
        check_refresh_options(self.refresh_steps, self.refresh_scale)
        if self.trainers < 1:
            raise ValueError(f"trainers must be at least 1, not {self.trainers}")

    def check(self, processes: int) -> None:
        """See `Strategy`."""
        if processes != 1:
            raise SparringError(f"a replay needs 1 process, not {processes}")

    def check_compute(self, compute: Compute) -> None:
        """See `Strategy`."""
        check_refresh(compute, self.refresh_steps, self.refresh_scale)

    def train(self, run: Run) -> RankLog:
        """See `Strategy`.

        Raises:
            SparringError: also if the log does not hold the updates that are due, in order.
        """
        self.check(run.comm.size)
        self.check_compute(run.compute)
        updates = [record.update for record in self.arrivals]
        if updates != list(range(run.start, run.updates)):
            raise SparringError(
                f"the arrival log must hold updates {run.start} to {run.updates - 1} in order; it "
                f"holds {len(updates)}, from {updates[0] if updates else 'none'}"
            )
        log, _ = run.begin("both")
        compute = run.compute
        history = History(run, self.arrivals, self.room_bytes)
        history.keep(run.start)
        sums = [np.empty(compute.gradient_count + 1, compute.dtype) for _ in range(2)]
        buffer = _Buffer(compute) if self.study_partial_batches else None
        for record in self.arrivals:
            changes, log.batch = dict(record.versions), record.batch

            def on_step(step: int, changes: dict[int, int] = changes) -> None:
                if step in changes:
                    compute.write_weights(history[changes[step]])

            # Between two changes of weights the engine takes all steps in one call.
            every = math.gcd(*changes) or compute.attack_steps
            with log.phase("generate"):
                batch = compute.attack(record.batch, slice(None), on_step, every)
                made_loss = compute.loss(batch) if run.record_strength else None
            compute.write_weights(history[record.update])
            if buffer is not None:
                batch = buffer.received(batch)
            with log.phase("update"):
                loss = self._gradients(compute, batch, *sums)
                compute.apply(sums[0][:-1])
            log.batches += 1
            if record.update == run.start and abs(loss - record.loss) > 1e-3 * abs(record.loss):
                _log.warning(
                    "the first loss is %.4f, and %.4f in the arrival log: was that run another "
                    "one, or refreshed?", loss, record.loss,
                )  # fmt: skip
            run.updated(
                BatchRecord(
                    record.update, record.batch, record.generator, record.versions, made_loss, loss
                )
            )
            history.keep(record.update + 1)
        return log

    def _gradients(self, compute: Compute, batch: Batch, total: Array, own: Array) -> float:
        """Gradients and, behind them, the loss, of all trainers' shares; see `JointUpdate`."""
        # Trainers that synchronise a batch normalisation see the whole batch as one.
        shares = 1 if compute.mixes_images else self.trainers
        for trainer in range(shares):
            part = shard(len(batch.labels), shares, trainer)
            share = Batch(batch.number, batch.rows, batch.images[part], batch.labels[part])
            if self.refresh_steps:
                share = compute.refresh(share, part, self.refresh_steps, self.refresh_scale)
            out = own if trainer else total
            out[-1] = compute.gradients(share, out[:-1])
            if trainer:
                total += own
        return float(total[-1])


class History:
    """The versions of the weights that are still needed.

    Args:
        run: whose weights; they have the version ``run.start`` now.
        arrivals: tell until when each version is needed.
        room_bytes: see `Replay`.
    """

    def __init__(self, run: Run, arrivals: Sequence[BatchRecord], room_bytes: int) -> None:
        self._compute, self._last_use = run.compute, _last_uses(arrivals)
        self._slot: dict[int, int] = {}
        #: By update: the versions that nobody needs after it.
        self._ends: defaultdict[int, list[int]] = defaultdict(list)
        # Kept: all that a later batch needs, the newest, and the one that the next will overwrite.
        most = _most_at_once(self._last_use, run.start, run.updates) + 2
        shape = (most, self._compute.weight_count)
        self._file = None
        self._weights: Array
        if most * self._compute.weight_count * self._compute.dtype.itemsize <= room_bytes:
            self._weights = np.empty(shape, self._compute.dtype)
        else:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the history)
            self._weights = np.memmap(self._file, self._compute.dtype, "w+", shape=shape)
        self._free = list(range(most))[::-1]

    def keep(self, version: int) -> None:
        """Remember the present weights as this version, and forget what nobody needs."""
        for old in self._ends.pop(version - 1, ()):
            self._free.append(self._slot.pop(old))
        slot = self._slot[version] = self._free.pop()
        # The update of the same number needs it, too.
        self._ends[max(version, self._last_use.get(version, version))].append(version)
        self._compute.read_weights(self._weights[slot])

    def __getitem__(self, version: int) -> Array:
        found: Array = self._weights[self._slot[version]]
        return found

    def __len__(self) -> int:
        return len(self._slot)


class _Buffer:
    """The trainer's receive buffer: a batch overwrites its own rows, and no more."""

    def __init__(self, compute: Compute) -> None:
        capacity = compute.rows(0)
        self._images = np.zeros((capacity, *compute.image_shape), compute.dtype)
        self._labels = np.zeros(capacity, np.int64)

    def received(self, batch: Batch) -> Batch:
        """The whole buffer after a batch has come."""
        rows = len(batch.labels)
        self._images[:rows], self._labels[:rows] = batch.images, batch.labels
        return Batch(batch.number, len(self._labels), self._images, self._labels)


def _most_at_once(last_use: dict[int, int], start: int, updates: int) -> int:
    """How many versions are needed at a time, at most."""
    change = np.zeros(updates - start + 2, np.int64)
    for version, last in last_use.items():
        change[version - start] += 1
        change[last - start + 1] -= 1
    return int(np.cumsum(change).max(initial=0))


def _last_uses(arrivals: Iterable[BatchRecord]) -> dict[int, int]:
    """For each version of the weights, the last update whose batch saw it."""
    uses: dict[int, int] = {}
    for record in arrivals:
        for _, version in record.versions:
            uses[version] = max(record.update, uses.get(version, -1))
    return uses


def save_arrivals(path: Path, records: Iterable[BatchRecord]) -> None:
    """Write an arrival log, one JSON object a line.

    Raises:
        SparringError: if the file exists or cannot be written; the message tells where the log is
            instead.
    """
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
    outputs.write(path, "".join(line + "\n" for line in lines))


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
