"""The study of staleness in words and numbers."""

from __future__ import annotations

from statistics import median

import numpy as np

from plots.staleness.table import FEWEST, Staleness


def describe(study: Staleness) -> str:
    """The study as printed tables."""
    lines = [
        f"{study.selection.study}: {len(study.selection.rows)} of {study.selection.total} rows, "
        f"environment {study.selection.environment}",
        *(f"  left out: {gone.count} rows, {gone.reason}" for gone in study.selection.left_out),
        "",
        f"{'configuration':34} {'source':15} {'batches':>7} {'staleness mean':>14} "
        f"{'median':>6} {'max':>4}  robust accuracy",
    ]
    for c in study.configurations:
        bounds = f" [{c.interval[0]:.3f}, {c.interval[1]:.3f}]" if c.interval else ""
        accuracy = "" if c.accuracy is None else f"{c.accuracy:.3f}{bounds}"
        lines.append(
            f"{c.name:34} {c.source:15} {len(c.staleness):7} {np.mean(c.staleness):14.2f} "
            f"{median(c.staleness):6g} {max(c.staleness):4}  {accuracy}"
        )
    lines += ["", "age [updates]  batches  loss when consumed / when made (quartiles)"]
    for decay in study.decay:
        if len(decay.ratios) >= FEWEST:
            low, middle, high = decay.quartiles
            lines.append(
                f"{decay.age:13} {len(decay.ratios):8}  {middle:.4f} ({low:.4f} to {high:.4f})"
            )
    return "\n".join(lines)


def headlines(study: Staleness) -> list[str]:
    """The oldest configuration, and what it reached beside the baseline."""
    oldest = max(study.configurations, key=lambda c: float(np.mean(c.staleness)))
    told = f"{oldest.name}: batches are {np.mean(oldest.staleness):.2f} updates old on average"
    if oldest.accuracy is not None:
        bounds = "".join(f" [{100 * low:.1f}, {100 * high:.1f}]"
                         for low, high in filter(None, [oldest.interval]))  # fmt: skip
        told += f", robust accuracy {100 * oldest.accuracy:.1f} %{bounds}"
    fresh = next((c for c in study.configurations if c.strategy == "sequential"), None)
    if fresh is not None and fresh is not oldest and fresh.accuracy is not None:
        told += f" beside {100 * fresh.accuracy:.1f} % of sequential training"
    return [f"{told}; {oldest.source}"]
