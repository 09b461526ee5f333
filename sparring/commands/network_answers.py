"""What ``python -m sparring networks`` answers of each network: as a table, and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.table import Table

from sparring.benchmark.coverage import Served, Timing
from sparring.fused.precision import Errors
from sparring.outputs import number_or_none


@dataclass(frozen=True)
class Answer:
    """How a network fares.

    Attributes:
        network: its name.
        shape: of an image.
        about: what the engine says of it.
        timing: how long attacks take; None if they were not timed.
        errors: of gradients; None if they were not checked.
    """

    network: str
    shape: tuple[int, ...]
    about: Served
    timing: Timing | None
    errors: Errors | None

    def document(self) -> dict[str, Any]:
        """The same in what JSON knows; numbers that are none are None."""
        timing, errors = self.timing, self.errors
        return {
            "network": self.network,
            "input_shape": list(self.shape),
            **asdict(self.about),
            "time": timing and {
                "competitor": timing.competitor, "engine_seconds": timing.engine,
                "competitor_seconds": timing.other, "ratio": timing.ratio,
            },
            "check": errors and {
                **{name: number_or_none(value) for name, value in asdict(errors).items()},
                "acceptable": errors.acceptable,
            },
        }  # fmt: skip


def shown(answers: Sequence[Answer], with_time: bool, with_check: bool) -> Table:
    """A row a network; columns of times and errors where they were asked for."""
    table = Table("network", "parameters", "attacks", "updates")
    if with_time:
        for heading in ("ms a batch", "other / engine", "range", "other"):
            table.add_column(heading, justify="right")
    if with_check:
        for heading in ("median image", "PyTorch's", "worst image", "weights", "replaced"):
            table.add_column(heading, justify="right")
    table.add_column("why not the engine")
    for answer in answers:
        about = answer.about
        table.add_row(
            answer.network, f"{about.parameters:,}", about.attacks, about.updates,
            *(_times(answer.timing) if with_time else ()),
            *(_accuracy(answer.errors) if with_check else ()), about.reason,
        )  # fmt: skip
    return table


def _times(timing: Timing | None) -> list[str]:
    if timing is None:
        return [""] * 4
    low, high = timing.ratios[0], timing.ratios[-1]
    return [f"{1000 * median(timing.engine):.3g}", f"{timing.ratio:.2f}",
            f"{low:.2f} to {high:.2f}", timing.competitor]  # fmt: skip


def _accuracy(errors: Errors | None) -> list[str]:
    if errors is None:
        return [""] * 5
    numbers = (errors.median, errors.torch_median, errors.worst)
    weights = "" if errors.weights is None else f"{errors.weights:.1e}"
    return [
        *(f"{number:.1e}" for number in numbers), weights, f"{errors.replaced} of {errors.images}"
    ]  # fmt: skip
