"""The figure of a staleness study: how old, how weak, how accurate."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plots.shared import layout, provenance, style
from plots.shared.facets import in_words
from plots.staleness.table import FEWEST, Configuration, Staleness

ROW = 0.19  # inches for a configuration
CELL = 5.6  # points
#: Colours and markers by number of processes, in order of appearance.
LOOKS = (
    ("#000000", "s"), ("#0072B2", "o"), ("#D55E00", "^"), ("#009E73", "D"), ("#CC79A7", "v"),
    ("#E69F00", "P"),
)  # fmt: skip


def draw(study: Staleness, width: float = style.TWO) -> Figure:
    """Ages as rows of shaded cells above; strength and accuracy below."""
    top = ROW * len(study.configurations) + 0.75
    figure, axes = layout.rows(width, (top, 1), (2.7, 2))
    _draw_ages(study, axes[0], most=14 if layout.is_narrow(width) else 34)
    _draw_strength(study, axes[1])
    _draw_accuracy(study, axes[2])
    return layout.finish(figure)


def _draw_ages(study: Staleness, axis: Axes, most: int) -> None:
    """Shares are written where there are at most so many ages: more have no room side by side."""
    configurations = study.configurations
    oldest = max(max(c.staleness) for c in configurations)
    table = np.zeros((len(configurations), oldest + 1))
    for index, configuration in enumerate(configurations):
        for age, fraction in configuration.fractions.items():
            table[index, age] = fraction
    # A square root lets rare ages be seen beside common ones.
    axis.imshow(np.sqrt(table), cmap="Blues", aspect="auto", vmin=0, vmax=1)
    for index, configuration in enumerate(configurations):
        for age, fraction in configuration.fractions.items():
            if oldest <= most and fraction >= 0.005:
                shade = "white" if fraction > 0.3 else "black"
                axis.text(age, index, f"{100 * fraction:.0f}", ha="center", va="center",
                          fontsize=CELL, color=shade)  # fmt: skip
    axis.set_yticks(range(len(configurations)))
    axis.set_yticklabels([_label(c) for c in configurations])
    axis.tick_params(axis="both", length=0)
    axis.set_xlabel("staleness of a batch [updates]", labelpad=1)
    axis.set_title("share of batches of each age [%]", loc="left", pad=4)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def _label(configuration: Configuration) -> str:
    mark = " *" if configuration.source != "measured" else ""
    return f"{configuration.name}{mark}"


def _draw_strength(study: Staleness, axis: Axes) -> None:
    known = [decay for decay in study.decay if len(decay.ratios) >= FEWEST]
    axis.axhline(1.0, color="#444444", lw=0.8)
    for decay in known:
        low, middle, high = decay.quartiles
        axis.vlines(decay.age, low, high, color="#0072B2", lw=1.0)
        axis.plot(decay.age, middle, marker="o", ms=3.6, color="#0072B2", ls="")
    axis.set_xlabel("updates from making to consuming")
    axis.set_ylabel("loss when consumed / when made")
    axis.set_title(f"strength of adversaries by age (quartiles, n ≥ {FEWEST})", loc="left", pad=4)
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)
    if not known:
        axis.text(0.5, 0.5, "made_loss was not recorded", transform=axis.transAxes, ha="center")


def _draw_accuracy(study: Staleness, axis: Axes) -> None:
    counts = list(dict.fromkeys(c.processes for c in study.configurations))
    for processes, (colour, marker) in zip(counts, LOOKS * len(counts), strict=False):
        label = "sequential" if processes == 1 else f"p = {processes}"
        for configuration in study.configurations:
            if configuration.processes != processes or configuration.accuracy is None:
                continue
            x = float(np.mean(configuration.staleness))
            if configuration.interval:
                axis.vlines(x, *configuration.interval, color=colour, lw=0.9)
            fill = "full" if configuration.source == "measured" else "none"
            axis.plot(x, configuration.accuracy, marker=marker, ms=4.4, color=colour, ls="",
                      fillstyle=fill, label=label)  # fmt: skip
            label = "_"
    axis.set_xlabel("mean staleness [updates]")
    axis.set_ylabel("robust accuracy")
    axis.set_title("accuracy after training (hollow: oversubscribed)", loc="left", pad=4)
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)
    axis.set_ylim(bottom=0)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False, loc="lower left")


def caption(study: Staleness) -> str:
    """The problem, and what the marks mean."""
    rows = study.selection.rows
    machine = provenance.machine(provenance.load(study.selection.path), study.selection.environment)
    names = ("backend", "dataset", "network", "attack", "adversary_steps", "batch_size", "updates")
    problem = ", ".join(
        in_words(name, str(rows[0][name])) for name in names if rows[0].get(name) is not None
    )
    starred = any(c.source != "measured" for c in study.configurations)
    return " ".join(
        filter(
            None,
            (
                f"{machine}." if machine else "",
                problem[:1].upper() + problem[1:] + ".",
                "k: updates between the trainer's sends of weights; a generator looks for them "
                "every so many ascent steps.",
                "Bars of accuracies: 95 % for the number of test images, one seed.",
                "* more processes than cores: ages are real, but who overtakes whom depends on the "
                "scheduler."
                if starred
                else "",
            ),
        )
    )
