"""What limits a run: a rule on where the seconds that count are spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: What a run can be limited by. ``generation`` shrinks with more ranks, the others do not.
LIMITS = ("generation", "update", "communication", "imbalance")

#: A trainer that waits for less than this share of the time is what all others wait for.
BUSY = 0.9


@dataclass(frozen=True)
class Limit:
    """What limits a run.

    Attributes:
        name: one of `LIMITS`: where the largest share is.
        shares: of the time of whoever the rest waits for, by `LIMITS`; they add up to about 1.
    """

    name: str
    shares: Mapping[str, float]


def largest(seconds: Mapping[str, float]) -> Limit:
    """The limit of a run whose decisive seconds are these, by `LIMITS`."""
    total = sum(seconds.values())
    shares = {name: seconds.get(name, 0.0) / total if total else 0.0 for name in LIMITS}
    return Limit(max(LIMITS, key=lambda name: shares[name]), shares)


def pipeline_limit(
    trainer: Mapping[str, float], generators: Mapping[str, float], seconds: float
) -> Limit:
    """What limits a pipeline.

    A trainer that is busy for 90 % of the time decides, with its updates or its messages. Otherwise
    the generators do: with what they generate, with messages, or by waiting (imbalance: for young
    weights, for grants, for a trainer that is late).

    Args:
        trainer: seconds by phase, of rank 0.
        generators: the same of the mean generator.
        seconds: of the whole run.
    """
    if seconds and trainer["wait"] <= (1.0 - BUSY) * seconds:
        return largest(
            {
                "generation": trainer["generate"],
                "update": trainer["update"],
                "communication": trainer["send"] + trainer["receive"],
                "imbalance": trainer["wait"],
            }
        )
    return largest(
        {
            "generation": generators["generate"],
            "communication": generators["send"] + generators["receive"],
            "imbalance": generators["wait"],
        }
    )
