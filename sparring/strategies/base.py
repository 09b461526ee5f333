"""What all strategies share: how they are called, and how a minibatch is split."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from sparring.compute.interface import Compute, Statistics
from sparring.strategies.telemetry import BatchRecord, RankLog
from sparring.strategies.waiting import Waiting, choose_waiting, patient

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass
class Run:
    """One call of a strategy on one rank: what to train, and what to keep and tell meanwhile.

    Attributes:
        comm: the ranks.
        compute: this rank's model, data and optimizer.
        updates: train until the weights have this version.
        start: the version that they have now; minibatches ``start`` to ``updates`` - 1 are due.
        record_strength: also compute each batch's loss under the weights that made it.
        timeline: keep the spans of `RankLog`.
        patience_seconds: give up a rank that is silent for so long; None waits for ever.
        on_update: called after each update, on every rank that updates.
        tell: see `RankLog.tell`.
        waiting: how to wait; None chooses by the cores that there are (`choose_waiting`).
        log: what this rank did; readable also when the strategy raised.
    """

    comm: MPI.Intracomm
    compute: Compute
    updates: int
    start: int = 0
    record_strength: bool = False
    timeline: bool = False
    patience_seconds: float | None = None
    on_update: Callable[[BatchRecord], None] | None = None
    tell: Callable[[str], None] | None = None
    waiting: Waiting | None = None
    log: RankLog = field(default_factory=lambda: RankLog("both"))

    def begin(self, role: str) -> tuple[RankLog, Waiting]:
        """This rank's log and its way of waiting. Collective."""
        waiting = patient(self.waiting or choose_waiting(self.comm), self.patience_seconds)
        self.log = RankLog(role, timeline=self.timeline, waiting=waiting.kind, tell=self.tell)
        return self.log, waiting

    def updated(self, record: BatchRecord) -> None:
        """Log an update and tell whoever wants to know.

        Raises:
            SparringError: if the loss is not finite.
        """
        self.log.updated(record)
        if self.on_update is not None:
            self.on_update(record)


class Strategy(ABC):
    """A way to spread training over the ranks of a communicator."""

    @property
    def splits_batches(self) -> bool:
        """Whether a minibatch's gradient is computed in parts, by ranks that all update.

        A model that mixes the images of a batch does not survive that unchanged.
        """
        return False

    @property
    def splits_attacks(self) -> bool:
        """Whether a minibatch is attacked in parts, by several ranks."""
        return self.splits_batches

    @property
    def everywhere(self) -> bool:
        """Whether every rank holds the trained weights afterwards; otherwise rank 0."""
        return False

    @abstractmethod
    def check(self, processes: int) -> None:
        """See whether the strategy can work with so many ranks.

        Raises:
            SparringError: if not, with the number that it needs.
        """

    def idle(self, processes: int, rows: int) -> int:
        """How many of so many ranks find nothing to do in a minibatch of so many images."""
        return 0

    def check_compute(self, compute: Compute) -> None:  # noqa: B027  (most take any)
        """See whether the strategy can work with this model and attack. Every rank finds the same.

        Raises:
            SparringError: if not, with the reason.
        """

    @abstractmethod
    def train(self, run: Run) -> RankLog:
        """Train; return what this rank did. Collective.

        Raises:
            SparringError: if the strategy cannot work with this number of ranks, training
                diverges, or a rank falls silent.
        """


_KINDS: dict[Any, str] = {bool: "true or false", int: "an integer", float: "a number"}


def check_types(strategy: Any) -> None:
    """See whether the options of a strategy (a dataclass) are of the types that they are meant to.

    Text where a number or a truth value belongs would fail late, or mean "yes".

    Raises:
        ValueError: if not, naming the option.
    """
    hints = get_type_hints(type(strategy))
    for option in dataclasses.fields(strategy):
        value, hint = getattr(strategy, option.name), hints[option.name]
        kinds = get_args(hint) or (hint,)  # int | None has two
        if value is None and NoneType in kinds:
            continue
        if any(get_origin(kind) is Literal and value in get_args(kind) for kind in kinds):
            continue
        kind = kinds[0]
        if kind not in _KINDS:
            continue
        accepted = (int, float) if kind is float else kind
        if not isinstance(value, accepted) or (kind is not bool and isinstance(value, bool)):
            names = [f" or '{name}'" for other in kinds[1:] for name in get_args(other)]
            told = _KINDS[kind] + "".join(names)
            raise ValueError(f"{option.name} must be {told}, not {value!r}")


def check_statistics(batch_norm: str) -> None:
    """See whether the option ``batch_norm`` is one.

    Raises:
        ValueError: if not.
    """
    if batch_norm not in get_args(Statistics):
        expected = " or ".join(f"'{value}'" for value in get_args(Statistics))
        raise ValueError(f"batch_norm must be {expected}, not {batch_norm!r}")


def check_refresh_options(steps: int, scale: float) -> None:
    """See whether the options of a refresh are in their ranges.

    Raises:
        ValueError: if not, naming the option.
    """
    if steps < 0:
        raise ValueError(f"refresh_steps must be at least 0, not {steps}")
    if not 0.0 < scale < math.inf:
        raise ValueError(f"refresh_scale must be finite and above 0, not {scale}")


def check_refresh(compute: Compute, steps: int, scale: float) -> None:
    """See whether an attack's adversaries can be refreshed.

    Raises:
        SparringError: if it has no further steps.
    """
    if steps:
        nothing = slice(0, 0)
        compute.refresh(compute.attack(0, nothing), nothing, steps, scale)


def shard(rows: int, parts: int, part: int) -> slice:
    """The rows of one of ``parts`` contiguous shares, whose sizes differ by at most one.

    A share is empty where there are fewer rows than parts.
    """
    small, larger = divmod(rows, parts)
    start = part * small + min(part, larger)
    return slice(start, start + small + (part < larger))
