"""What a rank did with its time, and how old the weights were behind each batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

#: What a rank can be doing. In a collective, sending, receiving and waiting cannot be told apart:
#: all of it counts as waiting.
PHASES = ("generate", "update", "send", "receive", "wait")


@dataclass
class RankLog:
    """One rank's log of one run.

    Attributes:
        role: ``trainer``, ``generator`` or ``both``.
        seconds: seconds in each of `PHASES`. They exclude each other: a message received in the
            middle of an attack counts as receiving and not as generating.
        batches: minibatches that this rank generated adversaries for, whole or in part.
        bytes_sent, bytes_received, messages_sent: payload. A collective counts as one message
            with its buffer, whatever the MPI library makes of it.
        losses: on rank 0, each update's mean training loss.
        staleness: on rank 0, each update's staleness: updates applied between the oldest weights
            behind the batch and the update that consumed it.
        fill_seconds: until the trainer had its first batch.
        drain_seconds: from when the trainer had its last batch to the end.
    """

    role: str
    clock: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    batches: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    losses: list[float] = field(default_factory=list)
    staleness: list[int] = field(default_factory=list)
    fill_seconds: float = 0.0
    drain_seconds: float = 0.0
    _stack: list[str] = field(default_factory=list)
    _since: float = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time in here as this phase; an outer phase stands still meanwhile."""
        self._charge()
        self._stack.append(name)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def _charge(self) -> None:
        now = self.clock()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        self._since = now

    def sent(self, size: int) -> None:
        """Count a message of ``size`` bytes."""
        self.messages_sent += 1
        self.bytes_sent += size

    def received(self, size: int) -> None:
        """Count ``size`` received bytes."""
        self.bytes_received += size
