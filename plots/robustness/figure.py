"""The figure of a robustness study: accuracies, differences, age and time."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from plots.robustness.equivalence import FEWEST
from plots.robustness.table import Arm, Robustness
from plots.shared import layout, provenance, style
from plots.shared.facets import in_words

HARD = "\u00a0"  # a space where no line ends
NARROW = 26  # characters of an arm's name in a line, in one column
#: How the name of a refreshed arm ends.
REFRESHED = ", refreshed"
#: Colour and marker of the arms, in the order of `Robustness.arms`. A refreshed arm has those of
#: the arm that it refreshes, and is hollow.
LOOKS = (
    (style.BLACK, "s"), ("#009E73", "D"), ("#0072B2", "o"), ("#D55E00", "^"), ("#CC79A7", "v"),
    ("#E69F00", "P"), ("#56B4E9", "X"), ("#8C4600", "<"), ("#666666", ">"), ("#B3A200", "p"),
)  # fmt: skip


def draw(study: Robustness, width: float = style.TWO) -> Figure:
    """Accuracies and differences by arm above; effect of age and the way there below."""
    narrow = layout.is_narrow(width)
    row = 0.28 if narrow else 0.24
    figure, axes = layout.rows(
        width, (row * len(study.arms) + 0.8, 2), (2.6, 3 if _has_strengths(study) else 2)
    )
    labels = [_label(arm, NARROW if narrow else None) for arm in study.arms]
    _draw_accuracies(study, axes[0], labels)
    _draw_differences(study, axes[1], labels if narrow else [""] * len(labels), narrow)
    _draw_age(study, axes[2], "difference")
    if _has_strengths(study):
        _draw_age(study, axes[3], "strength")
    _draw_time(study, axes[-1])
    return layout.finish(figure)


def looks(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """How each arm is drawn, as keywords of ``Axes.plot``."""
    places: dict[str, int] = {}
    found = []
    for arm in arms:
        name = arm.name.removesuffix(REFRESHED) if arm.refreshed else arm.name
        colour, marker = LOOKS[places.setdefault(name, len(places)) % len(LOOKS)]
        face = "white" if arm.refreshed else colour
        found.append({"color": colour, "marker": marker, "mfc": face, "mew": 0.9})
    return found


def _rows(axis: Axes, labels: Sequence[str]) -> None:
    axis.set_ylim(len(labels) - 0.5, -0.5)
    axis.set_yticks(range(len(labels)), labels, linespacing=1.0)
    axis.tick_params(axis="y", length=0)
    axis.grid(True, axis="x", color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)


def _label(arm: Arm, characters: int | None) -> str:
    name = arm.name.replace("<= ", f"≤{HARD}")
    star = f"{HARD}*" if arm.source == "simulated" else ""
    told = f"{name}{star}{HARD}({len(arm.rows)})"
    return "\n".join(textwrap.wrap(told, characters)) if characters else told


def _draw_accuracies(study: Robustness, axis: Axes, labels: Sequence[str]) -> None:
    for index, (arm, look) in enumerate(zip(study.arms, looks(study.arms), strict=True)):
        values = 100 * np.array(arm.values(study.endpoint))
        offsets = 0.22 * (np.arange(len(values)) / max(1, len(values) - 1) - 0.5)
        axis.plot(values, index + offsets, **(look | {"ls": "", "ms": 2.6, "mew": 0.6}), alpha=0.55)
        axis.plot([values.mean()] * 2, [index - 0.33, index + 0.33], color=look["color"], lw=1.6)
    _rows(axis, labels)
    axis.set_xlabel("accuracy [%]", labelpad=1)
    axis.set_title(f"{_endpoint(study)}, one mark a seed", loc="left", pad=4)


def _draw_differences(study: Robustness, axis: Axes, labels: Sequence[str], narrow: bool) -> None:
    axis.axvline(0, color="#444444", lw=0.8)
    axis.axvline(-100 * study.margin, color="#D55E00", lw=0.9, ls=(0, (3, 2)))
    linear = 4 * 100 * study.margin
    axis.set_xscale("symlog", linthresh=linear, linscale=1.6)
    reach = [100 * study.margin]
    for index, (arm, look) in enumerate(zip(study.arms, looks(study.arms), strict=True)):
        colour, c = look["color"], arm.comparison
        if c is None:
            continue
        # No difference of accuracies exceeds 100 points, though an interval of two seeds may.
        low, high = (100 * min(1.0, max(-1.0, end)) for end in (c.low_95, c.high_95))
        reach.append(100 * abs(c.mean))
        if math.isfinite(c.low_95):
            reach += [abs(low), abs(high)]
            axis.hlines(index, low, high, color=colour, lw=1.3)
        axis.plot(100 * c.mean, index, ms=4, **look)
        axis.text(1.0, index - 0.2, arm.verdict.partition(" with")[0], fontsize=5.6, color=colour,
                  transform=axis.get_yaxis_transform(), ha="right", va="bottom")  # fmt: skip
    far = 1.15 * max(*reach, linear)
    axis.set_xlim(-far, far)
    ticks = [t for t in (linear / 4, 10.0, 100.0) if t <= far]
    if narrow and len(ticks) > 1:
        del ticks[0]  # no room beside the zero
    axis.set_xticks(sorted({0.0, *ticks, *(-t for t in ticks)}))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    _rows(axis, labels)
    axis.set_xlabel("paired difference [points]", labelpad=1)
    axis.set_title("95 % intervals; dashed: margin", loc="left", pad=4)


def _has_strengths(study: Robustness) -> bool:
    """Whether an arm other than the reference tells how strong its adversaries were when used."""
    return any(_strength(arm) is not None for arm in study.arms if arm.comparison is not None)


def _strength(arm: Arm) -> float | None:
    """Of a refreshed arm None: its later loss is one of other adversaries."""
    return None if arm.refreshed else arm.mean("strength")


def _draw_age(study: Robustness, axis: Axes, what: str) -> None:
    for arm, look in zip(study.arms, looks(study.arms), strict=True):
        age = arm.mean("staleness_mean")
        if age is None:
            continue
        if what == "strength":
            if (height := _strength(arm)) is not None:
                axis.plot(age, height, ms=4.2, ls="", **look)
            continue
        c = arm.comparison
        if c is not None and c.n >= FEWEST:  # an interval of few seeds would hide all others
            axis.vlines(age, 100 * c.low_95, 100 * c.high_95, color=look["color"], lw=1)
        axis.plot(age, 100 * c.mean if c else 0.0, ms=4.2, ls="", **look)
    axis.set_xscale("symlog", linthresh=1)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlim(-0.15, max(1.5, axis.get_xlim()[1]))
    axis.set_xlabel("mean staleness [updates]")
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)
    if what == "strength":
        axis.axhline(1.0, color="#444444", lw=0.8)
        axis.set_ylabel("loss when consumed / when made")
        axis.set_title("strength of adversaries", loc="left", pad=4)
    else:
        axis.axhline(-100 * study.margin, color="#D55E00", lw=0.9, ls=(0, (3, 2)))
        axis.set_ylabel("paired difference [points]")
        axis.set_title("effect of staleness", loc="left", pad=4)


def _draw_time(study: Robustness, axis: Axes) -> None:
    for arm, look in zip(study.arms, looks(study.arms), strict=True):
        if not arm.curves or arm.role != "arm":
            continue
        shortest = min(len(curve[1]) for curve in arm.curves.values())
        seconds = np.median([curve[1][:shortest] for curve in arm.curves.values()], axis=0)
        accuracy = np.median([curve[2][:shortest] for curve in arm.curves.values()], axis=0)
        axis.plot(seconds, 100 * accuracy, ms=2.6, lw=1, **(look | {"mew": 0.6}))
    axis.axhline(100 * study.target, color="#444444", lw=0.8, ls=(0, (3, 2)))
    axis.set_xscale("log")
    axis.set_ylim(0, 100)
    axis.set_xlabel("simulated seconds")
    axis.set_ylabel("accuracy, PGD-10 [%]")
    axis.set_title("on the way (medians)", loc="left", pad=4)
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)


def _endpoint(study: Robustness) -> str:
    names = {"pgd_40_accuracy": "accuracy under PGD-40"}
    return names.get(study.endpoint, study.endpoint.replace("_", " "))


def caption(study: Robustness) -> str:
    """The problem, the test, and what the marks mean."""
    rows = study.selection.rows
    machine = provenance.machine(provenance.load(study.selection.path), study.selection.environment)
    names = ("dataset", "network", "recipe", "epsilon", "adversary_steps", "step_size",
             "batch_size", "updates", "evaluation_images")  # fmt: skip
    problem = ", ".join(
        in_words(name, str(rows[0][name])) for name in names if rows[0].get(name) is not None
    )
    return " ".join(
        filter(
            None,
            (
                f"{machine}." if machine else "",
                problem[:1].upper() + problem[1:] + ".",
                f"In brackets: seeds. Non-inferior: worse by {study.margin_in_words} or more "
                f"is rejected at alpha {study.alpha:g} (one-sided t-test of paired differences); "
                "equivalent: better by as much is rejected, too.",
                "* trained on one process in the order in which batches would have arrived on "
                f"{rows[0].get('calibration', 'a simulated machine')}, simulated."
                if any(a.source == "simulated" for a in study.arms)
                else "",
                "Hollow: refreshed by further ascent steps with the weights that are updated."
                if any(a.refreshed for a in study.arms)
                else "",
                "Colours and marks are the same in all panels. Seconds are simulated for all arms.",
            ),
        )
    )
