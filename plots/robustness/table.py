"""What a study of robustness shows: arms compared with the baseline, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean, median

import numpy as np

from harness.errors import UserError
from harness.tables.table import DETAIL_COLUMNS, details_path, read_rows
from plots.robustness.equivalence import FEWEST, NON_INFERIOR, NOT_SHOWN, Comparison, compare
from plots.shared.observations import Row, Selection

#: Columns that tell a table of this kind.
KEYS = ("arm", "role", "baseline", "endpoint", "margin", "alpha", "power", "seed",
        "clean_accuracy", "study_accuracy", "staleness_mean", "strength", "plateau")  # fmt: skip

CURVE_COLUMNS = ("update", "simulated_seconds", "accuracy", "strength", "staleness_mean")


@dataclass(frozen=True)
class Arm:
    """One way of training, over its seeds.

    Attributes:
        name, role, source: the arm's; role ``sweep`` gets no verdict.
        rows: by seed, ascending; the last of each seed.
        failed: seeds whose training failed, with the reason.
        comparison: with the baseline on the seeds that both have; None for the baseline, and where
            there is no such seed.
        curves: by seed, (updates, simulated seconds, accuracy), each a list.
    """

    name: str
    role: str
    source: str
    rows: dict[int, Row]
    failed: dict[int, str]
    comparison: Comparison | None
    differences: dict[int, float]
    curves: dict[int, tuple[list[float], list[float], list[float]]] = field(default_factory=dict)

    def values(self, column: str) -> list[float]:
        """A column's numbers, by seed; seeds without one are left out."""
        return [float(row[column]) for row in self.rows.values() if row.get(column) is not None]

    def mean(self, column: str) -> float | None:
        """Mean over seeds, or None."""
        found = self.values(column)
        return mean(found) if found else None

    @property
    def plateaus(self) -> int:
        """Seeds that never left the loss at which all classes are equally probable."""
        return sum(str(row["plateau"]).lower() == "true" for row in self.rows.values())

    @property
    def refreshed(self) -> bool:
        """Whether old batches take further ascent steps before they are trained on."""
        return any(float(row.get("refresh_steps") or 0) > 0 for row in self.rows.values())

    @property
    def verdict(self) -> str:
        """In words; a seed that failed forbids a favourable one."""
        if self.role != "arm" or self.comparison is None:
            return ""
        found = self.comparison.verdict
        if self.failed and found not in (NOT_SHOWN, "inferior"):
            return f"{NOT_SHOWN}: {len(self.failed)} seeds failed"
        if found == NOT_SHOWN:
            needed = self.comparison.needed
            told = f"about {needed} seeds needed" if needed else "seeds needed unknown"
            return f"{NOT_SHOWN} with {self.comparison.n} seeds ({told})"
        return found if found != "equivalent" else f"{NON_INFERIOR}, equivalent"


@dataclass(frozen=True)
class Robustness:
    """The whole study.

    Attributes:
        selection: the rows.
        baseline: the arm that others are compared with.
        arms: the baseline first, then by role and mean staleness.
        endpoint: the column that decides.
        margin, alpha, target: as fixed in the study.
    """

    selection: Selection
    baseline: str
    arms: tuple[Arm, ...]
    endpoint: str
    margin: float
    alpha: float
    target: float

    @property
    def margin_in_words(self) -> str:
        """The margin in points of accuracy."""
        return f"{100 * self.margin:g} point{'' if math.isclose(self.margin, 0.01) else 's'}"

    @property
    def hurts_from(self) -> float | None:
        """Mean staleness from which on every arm is worse than the baseline, beyond doubt.

        Beyond doubt: the 95 % interval of the paired difference lies below 0. Arms with fewer seeds
        than a verdict needs decide nothing, nor do refreshed ones. None where the oldest of the
        others is not.
        """
        aged = sorted(
            (
                a
                for a in self.arms
                if a.comparison is not None and a.comparison.n >= FEWEST and not a.refreshed
            ),
            key=lambda a: a.mean("staleness_mean") or 0.0,
        )
        found = None
        for arm in reversed(aged):
            assert arm.comparison is not None
            if not arm.comparison.high_95 < 0:
                break
            found = arm.mean("staleness_mean")
        return found


def analyse(selection: Selection) -> Robustness:
    """Pair the arms by seed.

    Raises:
        UserError: if the table is no study of robustness, or lacks its baseline.
    """
    missing = [key for key in KEYS if key not in selection.rows[0]]
    if missing:
        raise UserError(
            f"{selection.path}: has no column '{missing[0]}'; expected a study of robustness"
        )
    first = selection.rows[0]
    for key in ("baseline", "endpoint", "margin", "alpha", "power"):
        if len({row[key] for row in selection.rows}) > 1:
            raise UserError(f"{selection.path}: '{key}' differs between rows; choose with --where")
    baseline, endpoint = str(first["baseline"]), str(first["endpoint"])
    if endpoint not in first:
        raise UserError(f"{selection.path}: has no column '{endpoint}', its own endpoint")
    by_arm: dict[str, dict[int, Row]] = {}
    for row in sorted(selection.rows, key=lambda r: (int(r["seed"]), str(r["started_at"]))):
        by_arm.setdefault(str(row["arm"]), {})[int(row["seed"])] = row
    if baseline not in by_arm:
        raise UserError(f"{selection.path}: has no row of the arm '{baseline}', its baseline")
    failed, curves = _failed(selection), _curves(selection)
    margin, alpha, power = (float(first[key]) for key in ("margin", "alpha", "power"))
    arms = []
    for name, rows in by_arm.items():
        common = [seed for seed in rows if seed in by_arm[baseline]]
        differences = {
            seed: float(rows[seed][endpoint]) - float(by_arm[baseline][seed][endpoint])
            for seed in common
        }
        compared = name != baseline and differences
        arms.append(
            Arm(
                name, str(next(iter(rows.values()))["role"]),
                str(next(iter(rows.values()))["source"]), rows,
                {s: told for s, told in failed.get(name, {}).items() if s not in rows},
                compare(list(differences.values()), margin, alpha, power) if compared else None,
                {} if name == baseline else differences,
                {seed: curves[_launch(row)] for seed, row in rows.items()
                 if _launch(row) in curves},
            )
        )  # fmt: skip
    arms.sort(key=lambda a: (a.name != baseline, a.role != "arm", a.mean("staleness_mean") or 0.0))
    return Robustness(
        selection, baseline, tuple(arms), endpoint, margin, alpha,
        float(first.get("target") or math.nan),
    )  # fmt: skip


def _launch(row: Row) -> tuple[str, str]:
    return str(row["point"]), str(row["launch"])


def _failed(selection: Selection) -> dict[str, dict[int, str]]:
    """Reasons by arm and seed, of the environment that is drawn."""
    found: dict[str, dict[int, str]] = {}
    for row in read_rows(selection.path):
        if row["status"] != "ok" and str(row["environment"]) == selection.environment:
            told = f"{row['status']}: {row['message'] or ''}".strip()
            found.setdefault(str(row["arm"]), {})[int(row["seed"])] = told
    return found


def _curves(
    selection: Selection,
) -> dict[tuple[str, str], tuple[list[float], list[float], list[float]]]:
    path = details_path(selection.path.parent, selection.study)
    if not path.is_file():
        return {}
    found: dict[tuple[str, str], tuple[list[float], list[float], list[float]]] = {}
    for row in read_rows(path, (*DETAIL_COLUMNS, *CURVE_COLUMNS)):
        lists = found.setdefault(_launch(row), ([], [], []))
        for column, values in zip(("update", "simulated_seconds", "accuracy"), lists, strict=True):
            values.append(float(row[column]))
    return found


def spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation, or None for fewer than two."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def target_seconds(arm: Arm) -> tuple[int, float | None]:
    """Seeds that reached the target, and the median of their simulated seconds."""
    found = arm.values("target_seconds") if arm.rows else []
    return len(found), median(found) if found else None


def seeds_in_words(seeds: Iterable[int]) -> str:
    """Seeds as text."""
    return ", ".join(str(seed) for seed in sorted(seeds))
