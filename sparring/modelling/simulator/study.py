"""What the original study did with weights, as far as it decides on time and staleness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sparring.errors import SparringError


@dataclass(frozen=True)
class StudyQueues:
    """Weights that queue without bound, instead of by credits.

    The trainer posts its weights to every generator on every turn of its loop and never waits for
    what it posted. A generator looks after ascent steps 0, k, 2k ... (k is the receive interval).
    How much of its queue a look takes, and what is in a message, depends on the MPI library; these
    are hypotheses to compare.

    Attributes:
        per_look: models that a look takes at most, oldest first; 0: all that have come by then.
        content: ``sent``: the weights of the turn that posted them; ``live``: those of the moment
            in which they are taken, since they are posted from the live parameters.
        copied_by: who spends the time of a model's copy: ``both`` ends (through shared memory), or
            the ``receiver`` alone (single copy).
        messages: messages that a model travels as: one for each parameter.
        only_news: count only turns after an update, as if what idle turns post left no trace.

    Raises:
        SparringError: if a value is out of range.

    Source: N. Tumma, R. Mittal and others, "Parallel Adversary Generation for Training Robust
    Neural Networks", Harvard CS205, 2022, and the public code of that study.
    """

    per_look: int = 1
    content: Literal["sent", "live"] = "sent"
    copied_by: Literal["both", "receiver"] = "both"
    messages: int = 8
    only_news: bool = False

    def __post_init__(self) -> None:
        if self.per_look < 0 or self.messages < 1:
            raise SparringError("per_look must be at least 0 and messages at least 1")
        if self.content not in ("sent", "live"):
            raise SparringError(f"content must be sent or live, not {self.content!r}")
        if self.copied_by not in ("both", "receiver"):
            raise SparringError(f"copied_by must be both or receiver, not {self.copied_by!r}")
