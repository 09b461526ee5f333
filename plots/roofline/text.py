"""What a roofline says in words: which level bounds each kernel, on each machine, by batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plots.roofline.roofs import FMA, LEVELS
from plots.roofline.table import Entry, Panel, Placed, Study
from plots.shared.chart import Chart, Value

#: How a source of traffic is marked in tables.
MARKS = {"likwid": "", "cachesim": "~", "compulsory": ">"}
LEGEND = (
    "FLOP/B: FLOP per byte at L1 / L2 / L3 / DRAM, - where nothing is known, nothing moves or "
    "nothing is computed; "
    "~ simulated caches, > compulsory bytes only, so that the truth is lower or equal; a number "
    "without a mark was counted. Bound: what the roofs allow, and what bounds it."
)


def describe(study: Study, variants: Sequence[str] = ()) -> str:
    """A table a machine: each kernel at the batch that the figure's marker shows, and notes."""
    chosen = study.chosen(variants)
    parts, more = [f"roofline, {study.path}"], study.entries(variants)
    for panel in study.panels:
        parts += ["", _heading(panel), *_aligned(_kernel_rows(panel, chosen, more))]
    return "\n".join([*parts, "", LEGEND, *study.notes])


def markdown(study: Study, variants: Sequence[str] = ()) -> str:
    """Tables for a document: for each machine the kernels, then what bounds them by batch size."""
    chosen = study.chosen(variants)
    parts, more = list[str](), study.entries(variants)
    for panel in study.panels:
        parts += [f"**{_heading(panel)}**", "", *_markdown(_kernel_rows(panel, chosen, more)), ""]
        parts += ["What bounds it, by batch size" + (
            ", and the percentage of the bound that was reached" if panel.measured else "") + ":",
            "", *_markdown(_batch_rows(panel, chosen)), ""]  # fmt: skip
    return "\n".join([*parts, LEGEND, *(f"\n{note}." for note in study.notes)])


def _heading(panel: Panel) -> str:
    cores = f"{panel.roofs.cores} core{'' if panel.roofs.cores == 1 else 's'}"
    what = "measured" if panel.measured else "bounds; nothing was measured there"
    rates = ", ".join(f"{level} {rate:,.4g} GB/s" for level, rate in panel.roofs.bandwidth.items())
    return (
        f"{panel.roofs.title}, {cores}, {what} ({panel.roofs.source} roofs: "
        f"{panel.roofs.peak:,.4g} GFLOP/s, {rates})"
    )


def _kernel_rows(
    panel: Panel, chosen: Mapping[str, str], more: Sequence[Entry] = ()
) -> list[list[str]]:
    rows = [["kernel", "variant", "batch", "FLOP/B", "bound GFLOP/s", "bounded by"]]
    if panel.measured:
        rows[0] += ["GFLOP/s", "% of bound"]
    elif panel.predicted:
        rows[0] += ["predicted GFLOP/s", "% of bound"]
    pairs = dict.fromkeys([*chosen.items(), *more])
    for kernel, variant in pairs:
        if points := panel.of(kernel, variant):
            placed = panel.shown(points)
            row = [kernel, variant, str(placed.point.batch_size), intensities(placed),
                   _rate(placed.bound), _level(placed)]  # fmt: skip
            if panel.measured:
                row += [_rate(placed.gflops), _percent(placed)] if placed.measured else ["", ""]
            elif panel.predicted:
                rate = panel.prediction(placed.point)
                row += [_rate(rate), f"{100 * rate / placed.bound:.0f} %"] if rate else ["", ""]
            rows.append(row)
    return rows


def _batch_rows(panel: Panel, chosen: Mapping[str, str]) -> list[list[str]]:
    sizes = sorted({point.batch_size for point in panel.points})
    rows = [["kernel", *map(str, sizes)]]
    for kernel, variant in chosen.items():
        points = {point.batch_size: panel.place(point) for point in panel.of(kernel, variant)}
        rows.append([kernel, *(_limit(points.get(size)) for size in sizes)])
    return rows


def _limit(placed: Placed | None) -> str:
    if placed is None:
        return ""
    words = f"{MARKS[placed.bytes_source]}{_level(placed)}"
    return f"{words} {_percent(placed)}" if placed.measured else words


def _level(placed: Placed) -> str:
    return placed.limit if placed.limit != FMA else "peak"


def _rate(gflops: float) -> str:
    return f"{gflops:,.4g}" if gflops else "-"


def _percent(placed: Placed) -> str:
    return "" if placed.percent is None else f"{placed.percent:.0f} %"


def intensities(placed: Placed) -> str:
    """Of all levels, with the mark of their source."""
    known = [level for level in LEVELS if level != "L4" or level in placed.intensities]
    values = [
        f"{value:.3g}" if (value := placed.intensities.get(level)) else "-"
        for level in known
    ]  # fmt: skip
    return f"{MARKS[placed.bytes_source]}{' / '.join(values)}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]


def headlines(study: Study) -> list[str]:
    """How near its bound the median kernel comes, and which comes nearest."""
    told = []
    for panel in study.panels:
        reached = sorted(
            (placed.percent, kernel)
            for kernel, variant in study.chosen(()).items()
            if (points := panel.of(kernel, variant))
            and (placed := panel.shown(points)).percent is not None
        )
        if reached:
            (percent, kernel), (middle, _) = reached[-1], reached[len(reached) // 2]
            told.append(
                f"{panel.roofs.title}: half of the {len(reached)} kernels reach at least "
                f"{middle:.0f} % of their bound, {kernel.replace('_', ' ')} comes nearest with "
                f"{percent:.0f} %; measured"
            )
    return told


def chart(study: Study) -> Chart | None:
    """Performance by intensity at the outermost level that is known; a machine to choose."""
    values = []
    for panel in study.panels:
        for kernel, variant in study.computing(()).items():
            for point in panel.of(kernel, variant):
                placed = panel.place(point)
                known = [level for level in LEVELS if placed.intensities.get(level)]
                if known:
                    source = "measured" if placed.measured else "predicted"
                    values.append(Value(placed.intensities[known[-1]], placed.gflops, kernel,
                                        source, panel.roofs.title))  # fmt: skip
    if not values:
        return None
    return Chart("FLOP per byte, outermost level", "GFLOP/s", values, x_log=True, y_log=True,
                 panel_title="machine", joined=False)  # fmt: skip
