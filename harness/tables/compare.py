"""Two tables side by side: the same points, the ratio of their medians, and a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from harness.errors import UserError
from harness.files import read_json
from harness.tables.environments import environments_of
from harness.tables.statistics import Summary, summarize
from harness.tables.table import check_numbers, environment_path, read_rows, uncounted


@dataclass(frozen=True)
class Comparison:
    """One point in both tables.

    ``ratio`` is the second median over the first; ``p_value`` is that of the two-sided
    Mann-Whitney U test on launches (Mann and Whitney, 1947), which assumes no distribution.
    None where either side has fewer than 4 launches: the test could not reach 5 %.
    """

    point: str
    first: Summary
    second: Summary
    ratio: float
    p_value: float | None


def compare(first: Path, second: Path) -> list[Comparison]:
    """Compare the points that two tables share.

    Raises:
        UserError: if a table cannot be read, holds times that cannot be, or they share no point
            with a launch that ended well.
    """
    # Imported on use: it takes longer to import than all of the harness, and every other command
    # and every array task would wait for it.
    from scipy.stats import mannwhitneyu

    left, right = _launch_seconds(first), _launch_seconds(second)
    shared = [point for point in left if point in right]
    if not shared:
        raise UserError(f"{first} and {second} share no point with status ok; expected one or more")
    rows = []
    for point in shared:
        a, b = summarize(left[point]), summarize(right[point])
        enough = min(a.n, b.n) >= 4
        p_value = float(mannwhitneyu(left[point], right[point]).pvalue) if enough else None
        rows.append(Comparison(point, a, b, b.median / a.median, p_value))
    return rows


def _launch_seconds(path: Path) -> dict[str, list[float]]:
    """The median sample of each launch, by point, under the table's newest environment."""
    rows = read_rows(path)
    timed = [row for row, reason in zip(rows, uncounted(rows), strict=True) if not reason]
    check_numbers(path, timed)
    newest = max(timed, key=lambda row: str(row["started_at"]), default={})
    launches: dict[tuple[str, str], list[float]] = {}
    for row in timed:
        if row["environment"] == newest["environment"]:
            launches.setdefault((row["point"], row["launch"]), []).append(row["seconds"])
    points: dict[str, list[float]] = {}
    for (point, _), seconds in launches.items():
        points.setdefault(point, []).append(median(seconds))
    return points


def environments_differ(first: Path, second: Path) -> Iterator[tuple[str, str, str]]:
    """What differs between the environments that two tables were measured under last.

    Yields:
        names of settings, such as ``cpu.model``, with the value of each; nothing where a table
        stands without its ``<study>.environment.json``.
    """
    one, other = _environment(first), _environment(second)
    for name in sorted({*one, *other}) if one and other else ():
        if one.get(name) != other.get(name):
            yield name, one.get(name, "(none)"), other.get(name, "(none)")


def _environment(table: Path) -> dict[str, str]:
    """Fingerprint and last session of a table's newest environment, each setting by its path."""
    try:
        known = environments_of(read_json(environment_path(table.parent, table.stem)))
    except (OSError, ValueError):
        return {}
    rows = [row for row in read_rows(table) if row["environment"] in known]
    if not rows:
        return {}
    newest = known[max(rows, key=lambda row: str(row["started_at"]))["environment"]]
    session = {
        name: value for name, value in newest["sessions"][-1].items()
        if name not in ("session", "started_at", "topology", "affinity")
    } if newest["sessions"] else {}  # fmt: skip
    return dict(_flat({**newest["fingerprint"], "session": session}))


def _flat(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", str(value)
