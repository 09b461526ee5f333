"""How old the weights behind batches were, and what that cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from harness.errors import UserError
from harness.tables.table import DETAIL_COLUMNS, details_path, read_rows
from plots.shared.bootstrap import wilson
from plots.shared.observations import Row, Selection, text

#: What a configuration is called by, in the order in which configurations are listed.
KEYS = ("strategy", "processes", "send_interval", "receive_interval")

#: Ages of which fewer batches than this were seen have no median worth drawing.
FEWEST = 5


@dataclass(frozen=True)
class Configuration:
    """One combination of processes, send interval and receive interval.

    Attributes:
        strategy, processes, send_interval, receive_interval: the combination.
        source: how its rows came to be.
        staleness: of every batch, in updates.
        accuracies: robust accuracy of each repetition (fractions).
        images: test images behind each accuracy, or None if the table does not tell.
    """

    strategy: str
    processes: int
    send_interval: int
    receive_interval: int
    source: str
    staleness: tuple[int, ...]
    accuracies: tuple[float, ...]
    images: int | None

    @property
    def name(self) -> str:
        """The configuration in words."""
        if self.strategy == "sequential":
            return "sequential"
        return f"p = {self.processes}, k = {self.send_interval}, look every {self.receive_interval}"

    @property
    def fractions(self) -> dict[int, float]:
        """Share of the batches by staleness."""
        counts = Counter(self.staleness)
        return {age: count / len(self.staleness) for age, count in sorted(counts.items())}

    @property
    def accuracy(self) -> float | None:
        """Median robust accuracy over repetitions."""
        return median(self.accuracies) if self.accuracies else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the accuracy, from the number of images alone.

        It is about the images, not about seeds: training again with another seed may differ more.
        """
        if self.accuracy is None or not self.images:
            return None
        return wilson(self.accuracy, self.images)


@dataclass(frozen=True)
class Decay:
    """How an adversary's strength falls with age.

    Attributes:
        age: updates between the weights that finished the adversaries and those that consumed them.
        ratios: loss under the consuming weights over loss under the making weights, sorted.
    """

    age: int
    ratios: tuple[float, ...]

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Lower quartile, median, upper quartile."""
        low, middle, high = np.percentile(self.ratios, [25, 50, 75])
        return float(low), float(middle), float(high)


@dataclass(frozen=True)
class Staleness:
    """The whole study."""

    selection: Selection
    configurations: tuple[Configuration, ...]
    decay: tuple[Decay, ...]


def analyse(selection: Selection) -> Staleness:
    """Join the study's rows with their details.

    Raises:
        UserError: if the table is no staleness study or has no details.
    """
    missing = [key for key in KEYS if key not in selection.rows[0]]
    if missing:
        raise UserError(
            f"{selection.path}: has no column '{missing[0]}'; expected a study over "
            f"{', '.join(KEYS)}"
        )
    path = details_path(selection.path.parent, selection.study)
    columns = (*DETAIL_COLUMNS, "update", "last_version", "staleness", "made_loss", "consumed_loss")
    details = _by_repetition(read_rows(path, columns))
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in selection.rows:
        groups.setdefault((*(text(row[key]) for key in KEYS), str(row["source"])), []).append(row)
    configurations = [
        found
        for key in sorted(groups, key=_order)
        if (found := _configuration(groups[key], details)).staleness
    ]
    if not configurations:
        raise UserError(f"{path}: tells of no batch of the rows in {selection.path.name}")
    used = [detail for row in selection.rows for detail in details.get(_key(row), [])]
    return Staleness(selection, tuple(configurations), tuple(_decay(used)))


def _key(row: Row) -> tuple[str, str, int]:
    return str(row["point"]), str(row["launch"]), int(row["repetition"])


def _by_repetition(rows: Iterable[Row]) -> dict[tuple[str, str, int], list[Row]]:
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    return groups


def _order(key: tuple[str, ...]) -> tuple[bool, int, int, int]:
    strategy, *numbers, _ = key
    return (strategy != "sequential", *(int(number) for number in numbers))  # type: ignore[return-value]


def _configuration(
    rows: Sequence[Row], details: Mapping[tuple[str, str, int], Sequence[Row]]
) -> Configuration:
    first = rows[0]
    images = first.get("evaluation_images")
    return Configuration(
        strategy=str(first["strategy"]),
        processes=int(first["processes"]),
        send_interval=int(first["send_interval"]),
        receive_interval=int(first["receive_interval"]),
        source=str(first["source"]),
        staleness=tuple(int(d["staleness"]) for row in rows for d in details.get(_key(row), ())),
        accuracies=tuple(
            float(row["robust_accuracy"])
            for row in rows
            if row.get("robust_accuracy") is not None
        ),
        images=None if images is None else int(images),
    )  # fmt: skip


def _decay(details: Iterable[Row]) -> list[Decay]:
    ratios: dict[int, list[float]] = {}
    for detail in details:
        if detail["made_loss"] is None or not float(detail["made_loss"]) > 0:
            continue
        age = int(detail["update"]) - int(detail["last_version"])
        ratio = float(detail["consumed_loss"]) / float(detail["made_loss"])
        ratios.setdefault(age, []).append(ratio)
    return [Decay(age, tuple(sorted(ratios[age]))) for age in sorted(ratios)]
