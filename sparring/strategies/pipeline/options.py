"""The pipeline's options, and what each of them changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from sparring.compute.interface import Compute, Statistics
from sparring.errors import SparringError
from sparring.strategies.base import (
    Run,
    Strategy,
    check_refresh,
    check_refresh_options,
    check_statistics,
    check_types,
)
from sparring.strategies.pipeline.messages import Versions
from sparring.strategies.telemetry import RankLog

Messages = Literal["two", "packed"]
Receive = Literal["probe", "completion"]
Send = Literal["synchronous", "double_buffered"]
Weights = Literal["messages", "window"]
WeightSends = Literal["on_change", "every_turn"]
Assignment = Literal["static", "dynamic"]
#: Whether to train on a batch: of the version of the weights that it would update, and its own.
Accepts = Callable[[int, Versions], bool]
Policy = Literal["wait", "drop"] | Accepts


@dataclass(frozen=True)
class Pipeline(Strategy):
    """Rank 0, or the first ranks, update; the others generate with weights that may be old.

    The defaults are the study's scheme: minibatch n belongs to rank ``1 + n mod (p - 1)``; a
    batch travels as two messages and is found by a probe loop that goes round the generators; a
    synchronous send holds a generator until its batch is taken; weights go to every generator,
    which looks for them in the middle of an attack. One thing is not as it was: at most ``credits``
    messages of weights are in flight to a generator, so that they never queue without limit.

    Attributes:
        trainers: ranks that update together, each on its share of every batch; rank 0 alone talks
            with the generators. ``"auto"`` measures how many serve best, before the first update.
        receive_interval: ascent steps between a generator's looks for new weights, from 1.
        send_interval: updates (or epochs) between the trainer's sends of weights, from 1; more
            than one update needs ``weight_sends = "on_change"`` or ``weights = "window"``.
        send_unit: ``updates`` or ``epochs``.
        weight_sends: ``every_turn`` of the trainer's loop, changed or not (the study's), or
            ``on_change``.
        credits: messages of weights in flight to each generator, from 1.
        weights: by ``messages``, or through a one-sided ``window`` in which the newest overwrite.
        messages: a batch as ``two`` messages (the study's) or one ``packed`` message.
        receive: ``probe`` goes round the generators (the study's); ``completion`` has a persistent
            receive posted for each of them, which lets a generator run one batch further ahead.
        max_probes: probes in one turn of the trainer's loop, from 1.
        send: ``synchronous`` (the study's), or ``double_buffered``: a generator makes its next
            batch while the last is on its way.
        assignment: ``static`` (the study's), or ``dynamic``: whoever is free takes the next
            minibatch.
        trainer_generates: whether the trainer attacks minibatches too while its inbox is empty,
            looking into it before each ascent step; needs ``assignment = "dynamic"``.
        max_staleness: no batch older than this is trained on; None is no bound.
        staleness_policy: ``wait``: minibatch n is begun only with weights of version
            n - max_staleness or newer, and batches are consumed in order (stale synchronous
            parallel, Ho et al., NIPS 2013); ``drop``: an attack whose first weights have become too
            old is given up and begun again. Or a function of your own, which rank 0 asks of every
            batch before it trains on it: the version that the weights have, counted in updates,
            and ``((step, version), ...)``, from which ascent step on the attack saw which version.
            What it answers False to is made again; it is for it to accept some, or training
            stands still. It needs ``max_staleness = None``.
        refresh_steps: further ascent steps that the trainer takes on every batch, with the weights
            that it then updates, 0 or more: a batch may be old, but it fits the newest weights
            again. They cost the trainer time.
        refresh_scale: length of such a step, in steps of the attack; above 0.
        batch_norm: of several trainers, see `DataParallel`.
        study_partial_batches: train on all rows of the receive buffer, also on those that a
            partial batch left from the batch before: the study's defect, for the record.

    Raises:
        ValueError: if an option is out of range or two of them contradict each other.
    """

    trainers: int | Literal["auto"] = 1
    receive_interval: int = 1
    send_interval: int = 1
    send_unit: Literal["updates", "epochs"] = "updates"
    weight_sends: WeightSends = "every_turn"
    credits: int = 1
    weights: Weights = "messages"
    messages: Messages = "two"
    receive: Receive = "probe"
    max_probes: int = 64
    send: Send = "synchronous"
    assignment: Assignment = "static"
    trainer_generates: bool = False
    max_staleness: int | None = None
    staleness_policy: Policy = "wait"
    refresh_steps: int = 0
    refresh_scale: float = 1.0
    batch_norm: Statistics = "synchronized"
    study_partial_batches: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        check_statistics(self.batch_norm)
        if self.trainers != "auto" and self.trainers < 1:
            raise ValueError(f"trainers must be at least 1, or 'auto', not {self.trainers}")
        for name in ("receive_interval", "send_interval", "credits", "max_probes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, kind in (
            ("weights", Weights), ("messages", Messages), ("receive", Receive), ("send", Send),
            ("weight_sends", WeightSends), ("assignment", Assignment),
            ("send_unit", Literal["updates", "epochs"]),
        ):  # fmt: skip
            if getattr(self, name) not in get_args(kind):
                expected = " or ".join(f"'{value}'" for value in get_args(kind))
                raise ValueError(f"{name} must be {expected}, not '{getattr(self, name)}'")
        policy = self.staleness_policy
        if not callable(policy) and policy not in ("wait", "drop"):
            raise ValueError(
                f"staleness_policy must be 'wait' or 'drop' or a function, not {policy!r}"
            )
        self._check_combinations()

    def _check_combinations(self) -> None:
        check_refresh_options(self.refresh_steps, self.refresh_scale)
        if self.refresh_steps and self.study_partial_batches:
            raise ValueError(
                "refresh_steps contradicts study_partial_batches: rows that are left of another "
                "batch have lost their clean images"
            )
        bound, waits = self.max_staleness, self.staleness_policy == "wait"
        if callable(self.staleness_policy) and bound is not None:
            raise ValueError(
                "a staleness_policy of your own decides by itself: max_staleness must be None, not "
                f"{bound}"
            )
        if self.receive == "completion" and self.messages == "two":
            raise ValueError(
                "receive 'completion' needs messages 'packed': a batch in two messages is complete "
                "only when both have come"
            )
        if self.trainer_generates and self.assignment == "static":
            raise ValueError("trainer_generates needs assignment 'dynamic'")
        seldom = self.send_interval > 1 or self.send_unit == "epochs"
        if seldom and self.weights == "messages" and self.weight_sends == "every_turn":
            raise ValueError(
                f"send_interval {self.send_interval} {self.send_unit} needs weight_sends "
                "'on_change': 'every_turn' sends weights on every turn, whatever their version"
            )
        if bound is not None and bound < 0:
            raise ValueError(f"max_staleness must be at least 0, not {bound}")
        if (
            bound is not None
            and waits
            and (self.send_unit == "epochs" or self.send_interval > bound + 1)
        ):
            raise ValueError(
                "staleness_policy 'wait' needs weights at least every max_staleness + 1 updates: "
                f"max_staleness is {bound} and send_interval is {self.send_interval} "
                f"{self.send_unit}"
            )
        if self.drops and (self.send == "double_buffered" or self.send_unit == "epochs"
                           or self.send_interval > 1):  # fmt: skip
            which = "of your own" if callable(self.staleness_policy) else "'drop'"
            raise ValueError(
                f"staleness_policy {which} needs send 'synchronous' and weights after every update"
            )

    @property
    def splits_batches(self) -> bool:
        """See `Strategy`."""
        return self.trainers != 1

    @property
    def in_order(self) -> bool:
        """Whether batches are consumed in the order of their numbers."""
        return self.max_staleness is not None and self.staleness_policy == "wait"

    @property
    def drops(self) -> bool:
        """Whether batches that are not accepted are made again."""
        if callable(self.staleness_policy):
            return True
        return self.max_staleness is not None and self.staleness_policy == "drop"

    def accepts(self, version: int, versions: Versions) -> bool:
        """Whether a batch is trained on.

        Args:
            version: of the weights that it would update.
            versions: those that its attack saw.
        """
        if callable(self.staleness_policy):
            return bool(self.staleness_policy(version, versions))
        return not self.drops or not self.too_old(version, versions)

    def too_old(self, version: int, versions: Versions | list[tuple[int, int]]) -> bool:
        """Whether an attack has become older than ``max_staleness`` allows, where that drops it."""
        drops = self.max_staleness is not None and self.staleness_policy == "drop"
        return drops and version - versions[0][1] > (self.max_staleness or 0)

    def check(self, processes: int) -> None:
        """See `Strategy`."""
        trainers = 1 if self.trainers == "auto" else self.trainers
        if processes <= trainers:
            who = "a trainer" if trainers == 1 else f"{trainers} trainers"
            raise SparringError(
                f"strategy 'pipeline' needs {trainers + 1} processes or more ({who} and a "
                f"generator), not {processes}"
            )

    def idle(self, processes: int, rows: int) -> int:
        """See `Strategy`; a generator attacks whole minibatches."""
        return 0 if self.trainers == "auto" else max(0, self.trainers - rows)

    def check_compute(self, compute: Compute) -> None:
        """See `Strategy`."""
        check_refresh(compute, self.refresh_steps, self.refresh_scale)

    def train(self, run: Run) -> RankLog:
        """See `Strategy`."""
        from sparring.strategies.pipeline.roles import train

        self.check(run.comm.size)
        self.check_compute(run.compute)
        train(self, run)
        return run.log
