"""The verdicts of a robustness study as a table, printed and as CSV."""

from __future__ import annotations

import math

from harness.tables.table import format_csv
from plots.robustness.equivalence import NOT_SHOWN
from plots.robustness.table import Arm, Robustness, seeds_in_words, spread, target_seconds
from plots.shared.chart import Chart, Value

HEADER = (
    "arm", "role", "source", "seeds", "failed", "plateaus", "staleness_mean", "strength",
    "clean_accuracy", "endpoint", "endpoint_accuracy", "endpoint_deviation", "study_accuracy",
    "pgd_100_accuracy", "margin_100_accuracy", "worst_case_accuracy", "autoattack_accuracy",
    "deep_seeds", "pairs", "difference", "difference_deviation", "difference_low_95",
    "difference_high_95", "effect", "p_inferior", "p_superior", "margin", "alpha", "seeds_needed",
    "target", "target_reached", "target_simulated_seconds", "verdict",
)  # fmt: skip


def verdicts_table(study: Robustness) -> str:
    """The CSV of all arms."""
    return format_csv(HEADER, [_cells(study, arm) for arm in study.arms])


def _cells(study: Robustness, arm: Arm) -> dict[str, str]:
    c = arm.comparison
    reached, seconds = target_seconds(arm)
    cells: dict[str, object] = {
        "arm": arm.name, "role": arm.role, "source": arm.source, "seeds": len(arm.rows),
        "failed": len(arm.failed), "plateaus": arm.plateaus,
        "staleness_mean": arm.mean("staleness_mean"), "strength": arm.mean("strength"),
        "clean_accuracy": arm.mean("clean_accuracy"), "endpoint": study.endpoint,
        "endpoint_accuracy": arm.mean(study.endpoint),
        "endpoint_deviation": spread(arm.values(study.endpoint)),
        "study_accuracy": arm.mean("study_accuracy"),
        **{name: arm.mean(name) for name in ("pgd_100_accuracy", "margin_100_accuracy",
                                             "worst_case_accuracy", "autoattack_accuracy")},
        "deep_seeds": len(arm.values("worst_case_accuracy")),
        "margin": study.margin, "alpha": study.alpha, "target": study.target,
        "target_reached": reached, "target_simulated_seconds": seconds, "verdict": arm.verdict,
    }  # fmt: skip
    if c is not None:
        cells |= {
            "pairs": c.n, "difference": c.mean, "difference_deviation": c.deviation,
            "difference_low_95": c.low_95, "difference_high_95": c.high_95, "effect": c.effect,
            "p_inferior": c.p_inferior, "p_superior": c.p_superior, "seeds_needed": c.needed,
        }  # fmt: skip
    return {name: _text(value) for name, value in cells.items()}


def _text(value: object) -> str:
    if value is None or value != value:  # NaN is not itself
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def describe(study: Robustness) -> str:
    """The study in words and columns; accuracies and differences in points (percent)."""
    width = max(len(arm.name) for arm in study.arms)
    lines = [
        f"{study.selection.study}: {len(study.selection.rows)} of {study.selection.total} rows, "
        f"environment {study.selection.environment}",
        *(f"  left out: {gone.count} rows, {gone.reason}" for gone in study.selection.left_out),
        f"endpoint {study.endpoint}; margin {study.margin_in_words}, alpha {study.alpha:g}; "
        f"paired by seed with '{study.baseline}'; tests are not corrected for the number of arms",
        "",
        f"{'arm':{width}} {'source':10} {'seeds':>5} {'stale':>6} {'clean':>6} {'endpoint':>13} "
        f"{'study':>6} {'worst*':>7}  {'difference [95 %]':26} verdict",
    ]
    for arm in study.arms:
        found, deviation = arm.mean(study.endpoint), spread(arm.values(study.endpoint))
        told = "" if found is None else f"{100 * found:.2f}"
        told += f" ± {100 * deviation:.2f}" if deviation is not None else ""
        lines.append(
            f"{arm.name:{width}} {arm.source:10} {len(arm.rows):5} "
            f"{_one(arm, 'staleness_mean', 1):>6} {_one(arm, 'clean_accuracy'):>6} {told:>13} "
            f"{_one(arm, 'study_accuracy'):>6} "
            f"{_one(arm, 'worst_case_accuracy'):>7}  {_difference(arm):26} "
            f"{arm.verdict}".rstrip()
        )
        if arm.failed:
            lines.append(f"  failed: seeds {seeds_in_words(arm.failed)}")
        if arm.plateaus:
            seeds = "1 seed" if arm.plateaus == 1 else f"{arm.plateaus} seeds"
            lines.append(f"  {seeds} never left the plateau at loss 2.3")
    lines += ["* all attacks of the study, the worst image by image, on the deep seed", ""]
    lines += [_target(study, arm) for arm in study.arms]
    hurts = study.hurts_from
    lines.append(
        f"without a refresh staleness hurts from a mean of {hurts:.1f} updates on (95 % intervals "
        "below 0)"
        if hurts is not None
        else "without a refresh no staleness was shown to hurt"
    )
    return "\n".join(lines)


def _one(arm: Arm, column: str, factor: float = 100.0) -> str:
    found = arm.mean(column)
    return "" if found is None else f"{factor * found:.2f}"


def _difference(arm: Arm) -> str:
    c = arm.comparison
    if c is None:
        return ""
    if c.n == 1:
        return f"{100 * c.mean:+.2f} (one seed)"
    return f"{100 * c.mean:+.2f} [{100 * c.low_95:+.2f}, {100 * c.high_95:+.2f}]"


def _target(study: Robustness, arm: Arm) -> str:
    reached, seconds = target_seconds(arm)
    told = "" if seconds is None else f", after a median of {seconds:.0f} simulated seconds"
    return (f"{arm.name}: {reached} of {len(arm.rows)} seeds reached {100 * study.target:g} % "
            f"under 10 steps of PGD{told}")  # fmt: skip


#: What a verdict says, of a baseline and a margin.
VERDICTS = {
    "non-inferior, equivalent": "as robust as {} within {} (non-inferior, equivalent)",
    "non-inferior": "less robust than {} by less than {}, if at all (non-inferior)",
    "inferior": "less robust than {} by more than {} (inferior)",
    NOT_SHOWN: "neither shown to be as robust as {} within {}, nor to be less robust",
}


def headlines(study: Robustness) -> list[str]:
    """The arms by verdict, and from which staleness on training is hurt."""
    by_verdict: dict[str, list[str]] = {}
    for arm in study.arms:
        if arm.verdict:
            name = f"{arm.name} {_difference(arm)}".strip()
            known = arm.verdict if arm.verdict in VERDICTS else NOT_SHOWN
            by_verdict.setdefault(known, []).append(name)
    simulated = any(arm.source == "simulated" for arm in study.arms)
    told = [
        f"{VERDICTS[verdict].format(study.baseline, study.margin_in_words)}: "
        f"{'; '.join(names)} points"
        for verdict, names in by_verdict.items()
    ]
    if study.hurts_from is not None:
        told.append(
            f"without a refresh staleness hurts from a mean of {study.hurts_from:.1f} updates on"
        )
    return [f"{line}{'; simulated order of arrival' if simulated else ''}" for line in told]


def chart(study: Robustness) -> Chart:
    """Paired differences by mean staleness, with their 95 % intervals."""
    values = [
        Value(
            arm.mean("staleness_mean") or 0.0, 100 * c.mean, arm.name, arm.source,
            low=None if math.isnan(c.low_95) else 100 * c.low_95,
            high=None if math.isnan(c.high_95) else 100 * c.high_95,
        )
        for arm in study.arms
        if (c := arm.comparison) is not None
    ]  # fmt: skip
    return Chart("mean staleness [updates]", "paired difference [points]", values, joined=False)
