"""What a rank did with its time, and how old the weights were behind each batch."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sparring.errors import diverged

#: What a rank can be doing. In a collective, sending, receiving and waiting cannot be told apart:
#: all of it counts as waiting.
PHASES = ("generate", "update", "send", "receive", "wait")

#: `BatchRecord.generator` of a minibatch that all ranks generated together.
ALL_RANKS = -1


@dataclass(frozen=True)
class BatchRecord:
    """One update: which minibatch it consumed, and how old that was.

    Attributes:
        update: the update's number, from 0: the version of the weights that it changed.
        batch: the minibatch's number.
        generator: the rank that made its adversaries, or `ALL_RANKS`.
        versions: (ascent step, version) at the first step and wherever newer weights came.
        made_loss: mean loss of the finished adversaries under the weights that made them (the
            last of ``versions``), or None if it was not asked for.
        loss: mean training loss under the weights that consumed them; after a refresh, if there
            was one, which ``made_loss`` has not seen.
    """

    update: int
    batch: int
    generator: int
    versions: tuple[tuple[int, int], ...]
    made_loss: float | None
    loss: float

    @property
    def first_version(self) -> int:
        """Version of the weights at the first ascent step: the oldest behind the batch."""
        return self.versions[0][1]

    @property
    def last_version(self) -> int:
        """Version of the weights at the last ascent step."""
        return self.versions[-1][1]

    @property
    def staleness(self) -> int:
        """Updates between the oldest weights behind the batch and the update that consumed it."""
        return self.update - self.first_version


@dataclass(frozen=True)
class Span:
    """A stretch of a rank's time, for the timeline: seconds of the rank's clock."""

    phase: str
    begin: float
    end: float
    batch: int | None


@dataclass
class RankLog:
    """One rank's log of one run.

    Attributes:
        role: ``trainer``, ``generator`` or ``both``.
        clock: monotonic seconds.
        timeline: whether spans are kept.
        waiting: how the rank waited (`sparring.strategies.waiting.Waiting.kind`).
        seconds: seconds in each of `PHASES`. They exclude each other: a message received in the
            middle of an attack counts as receiving and not as generating.
        batches: minibatches that this rank generated adversaries for, whole or in part.
        bytes_sent, bytes_received, messages_sent: payload. A collective counts as one message
            with its buffer, whatever the MPI library makes of it.
        records: on ranks that update, one per update.
        counters: how often something happened that only some strategies know.
        notes: what the strategy chose, and why, in sentences.
        fill_seconds: until the trainer had its first batch.
        drain_seconds: from when the trainer had its last batch to the end.
        batch: the minibatch in hand, for messages.
        spans: the timeline, if it is on.
        tell: called with what the rank does whenever it begins to generate or to update.
    """

    role: str
    clock: Callable[[], float] = time.perf_counter
    timeline: bool = False
    waiting: str = ""
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    batches: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    records: list[BatchRecord] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    fill_seconds: float = 0.0
    drain_seconds: float = 0.0
    batch: int | None = None
    spans: list[Span] = field(default_factory=list)
    tell: Callable[[str], None] | None = None
    _stack: list[str] = field(default_factory=list)
    _since: float = 0.0

    @property
    def phase_now(self) -> str:
        """The innermost phase, or ``idle``."""
        return self._stack[-1] if self._stack else "idle"

    @property
    def doing(self) -> str:
        """Phase, batch and role in words, for messages."""
        batch = "no batch" if self.batch is None else f"batch {self.batch}"
        return f"{self.phase_now} of {batch} as {self.role}"

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time in here as this phase; an outer phase stands still meanwhile."""
        self._charge()
        self._stack.append(name)
        if self.tell is not None and name in ("generate", "update"):
            self.tell(self.doing)
        try:
            yield
        except BaseException:
            raise  # the stack stays as it is: a message can tell what the rank was doing
        else:
            self._charge()
            self._stack.pop()

    def _charge(self) -> None:
        now = self.clock()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
            if self.timeline and now > self._since:
                self.spans.append(Span(self._stack[-1], self._since, now, self.batch))
        self._since = now

    def sent(self, size: int) -> None:
        """Count a message of ``size`` bytes."""
        self.messages_sent += 1
        self.bytes_sent += size

    def received(self, size: int) -> None:
        """Count ``size`` received bytes."""
        self.bytes_received += size

    def updated(self, record: BatchRecord) -> None:
        """Keep the record of an update.

        Raises:
            SparringError: if the loss is no finite number: training has diverged.
        """
        if not math.isfinite(record.loss):
            raise diverged(
                f"the loss of update {record.update} (batch {record.batch}) is {record.loss}"
            )
        self.records.append(record)


def chrome_trace(logs: list[tuple[int, str, list[Span], float]]) -> dict[str, Any]:
    """A timeline in the Trace Event Format, which Perfetto and chrome://tracing open.

    Args:
        logs: per rank: rank, role, spans, and the rank's clock at a common moment (a barrier), so
            that clocks of different nodes agree.

    Returns:
        a document for ``json.dump``; times in microseconds since the barrier.
    """
    events: list[dict[str, Any]] = []
    for rank, role, spans, origin in logs:
        name = {"name": f"rank {rank} ({role})"}
        events.append({"ph": "M", "name": "thread_name", "pid": 0, "tid": rank, "args": name})
        for span in spans:
            events.append(
                {
                    "ph": "X",
                    "name": span.phase,
                    "pid": 0,
                    "tid": rank,
                    "ts": (span.begin - origin) * 1e6,
                    "dur": (span.end - span.begin) * 1e6,
                    "args": {} if span.batch is None else {"batch": span.batch},
                }
            )
    return {"traceEvents": events, "displayTimeUnit": "ms"}
