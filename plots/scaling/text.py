"""A scaling analysis in words and numbers: the printed tables and the fits table."""

from __future__ import annotations

from collections.abc import Sequence

from harness.tables.table import format_csv, text_of
from plots.scaling.fits import Fit, above_best
from plots.scaling.table import Analysis, Panel
from plots.shared import style
from plots.shared.aligned import aligned
from plots.shared.chart import Chart, Value
from plots.shared.facets import DEFINITIONS
from plots.shared.plot import Grid
from plots.shared.speedup import TOO_SMALL, Point, digits, interval, robust_accuracy

FIT_COLUMNS = (
    "study", "configuration", "definition", "strategy", "source", "model", "parameter", "estimate",
    "low", "high", "distinct_p", "observations", "aicc", "delta_aicc", "largest_p",
    "prediction_error_percent", "status", "correlation",
)  # fmt: skip
POINT_HEADER = (
    "strategy", "source", "p", "threads", "n", "median [s]", "95 % interval [s]", "T_1 [s]",
    "speed-up", "95 % interval", "efficiency", "Karp-Flatt",
)  # fmt: skip
FIT_HEADER = (
    "strategy", "source", "model", "parameters", "AICc", "above best", "error at largest p",
)  # fmt: skip
#: Two parameters whose bootstrap draws correlate more than this are told only together.
CORRELATED = 0.9


def seconds(value: float) -> str:
    """Seconds with four significant digits."""
    return f"{value:.4g}"


def quantity(value: float, metric: str) -> str:
    """Seconds or, where points are compared by a rate, the rate that they are the inverse of."""
    return seconds(1.0 / value if metric else value)


def panel_name(panel: Panel) -> str:
    """Definition and configuration of a panel; empty where nothing varies."""
    return ", ".join(filter(None, (panel.facet.definition, panel.facet.name)))


def point_header(metric: str) -> tuple[str, ...]:
    """The header of the printed table of points; with a rate in the place of seconds."""
    if not metric:
        return POINT_HEADER
    return tuple(head.replace("[s]", f"[{metric}]").replace("T_1", "R_1") for head in POINT_HEADER)


def point_cells(points: Sequence[Point], metric: str = "") -> list[tuple[str, ...]]:
    """The printed table of points, without its header."""
    return [_point(point, metric) for point in points]


def fit_cells(fits: Sequence[Fit]) -> list[tuple[str, ...]]:
    """The printed table of fits, without its header."""
    above = above_best(fits)
    return [_fit(fit, above.get(fit)) for fit in fits]


def describe(analysis: Analysis) -> str:
    """What ``python -m plots scaling`` prints, without the paths written."""
    selection = analysis.selection
    lines = [
        f"{selection.study}: {analysis.kind} scaling, {len(selection.rows)} of {selection.total} "
        f"rows, environment {selection.environment}"
    ]
    lines += [f"  left out: {gone.count} rows, {gone.reason}" for gone in selection.left_out]
    lines += [f"  note: {note}" for note in analysis.notes]
    for panel in analysis.panels:
        lines += ["", *filter(None, [panel_name(panel)])]
        cells = point_cells(panel.points, analysis.metric)
        lines += aligned(_without_empty(point_header(analysis.metric), cells))
        if panel.fits:
            lines += ["", *aligned([FIT_HEADER, *fit_cells(panel.fits)])]
        lines += [f"  note: {note}" for note in panel.notes]
    return "\n".join(lines)


def fits_table(analysis: Analysis) -> str:
    """``<study>.fits.csv``: a row per fitted parameter; a refused fit states its reason."""
    rows = []
    for panel in analysis.panels:
        above = above_best(panel.fits)
        for fit in panel.fits:
            shared: dict[str, str | int | float | None] = {
                "study": analysis.selection.study,
                "configuration": panel.facet.name,
                "definition": panel.facet.definition,
                "strategy": fit.series,
                "source": fit.source,
                "model": fit.model.name,
                "distinct_p": fit.distinct_p,
                "observations": fit.observations,
                "aicc": fit.aicc,
                "delta_aicc": above.get(fit),
                "largest_p": fit.largest_p,
                "prediction_error_percent": (
                    None if fit.prediction_error is None else 100.0 * fit.prediction_error
                ),
                "status": fit.refusal or "fitted",
                "correlation": fit.correlation,
            }
            for i, name in enumerate(fit.model.parameters or ("",)):
                ends = fit.intervals[i] if fit.intervals else (None, None)
                own = {
                    "parameter": name,
                    "estimate": fit.estimates[i] if fit.estimates else None,
                    "low": ends[0],
                    "high": ends[1],
                }
                rows.append({key: text_of(value) for key, value in {**shared, **own}.items()})
    return format_csv(FIT_COLUMNS, rows)


def parameters_in_words(fit: Fit) -> str:
    """Estimates with their intervals, such as 'f = 0.031 [0.029, 0.033]'."""
    words = []
    for i, (name, value) in enumerate(zip(fit.model.parameters, fit.estimates, strict=True)):
        ends = f" [{fit.intervals[i][0]:.3g}, {fit.intervals[i][1]:.3g}]" if fit.intervals else ""
        words.append(f"{name} = {value:.3g}{ends}")
    if fit.correlation is not None and abs(fit.correlation) > CORRELATED:
        names = " and ".join(fit.model.parameters)
        words.append(f"{names} told only together (correlation {fit.correlation:.2f})")
    return ", ".join(words) or "no parameter"


def _point(point: Point, metric: str) -> tuple[str, ...]:
    cell, summary, e = point.cell, point.cell.seconds, point.karp_flatt
    is_baseline = cell is point.baseline
    told = "by definition" if is_baseline else interval(point).strip("()")
    return (
        cell.strategy
        if cell.size in (None, cell.processes)
        else f"{cell.strategy}, size {cell.size}",
        cell.source,
        str(cell.processes),
        str(cell.threads),
        str(summary.n),
        quantity(summary.median, metric),
        TOO_SMALL
        if summary.low is None or summary.high is None
        else "[{}, {}]".format(
            *sorted((quantity(summary.low, metric), quantity(summary.high, metric)), key=float)
        ),
        quantity(point.factor * point.baseline.seconds.median, metric),
        digits(point.speedup),
        told,
        f"{point.efficiency:.3f}",
        "" if e is None else f"{e:.3f}",
    )


def _fit(fit: Fit, above: float | None) -> tuple[str, ...]:
    if fit.refusal:
        return fit.series, fit.source, fit.model.name, fit.refusal, "", "", ""
    error = "" if fit.prediction_error is None else f"{100 * fit.prediction_error:+.1f} %"
    return (
        fit.series,
        fit.source,
        fit.model.name,
        parameters_in_words(fit),
        "too few launches" if fit.aicc is None else f"{fit.aicc:.1f}",
        "" if above is None else f"{above:.1f}",
        f"{error} (p = {fit.largest_p})" if error else "",
    )


def _without_empty(header: Sequence[str], rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Drop the threads column where every process has one thread."""
    drop = {3} if all(row[3] == "1" for row in rows) else set()
    return [
        tuple(cell for i, cell in enumerate(row) if i not in drop) for row in (tuple(header), *rows)
    ]


def grids(analysis: Analysis) -> list[Grid]:
    """Points and fits of each panel."""
    found = []
    for panel in analysis.panels:
        name = panel_name(panel)
        cells = point_cells(panel.points, analysis.metric)
        found.append(Grid(name, point_header(analysis.metric), cells, panel.notes))
        if panel.fits:
            title = f"fits{': ' if name else ''}{name}"
            found.append(Grid(title, FIT_HEADER, fit_cells(panel.fits)))
    return found


def headlines(analysis: Analysis) -> list[str]:
    """For each panel and source, the greatest speed-up, with robust accuracies if known."""
    told = []
    for panel in analysis.panels:
        by_source: dict[str, list[Point]] = {}
        for point in panel.drawn:
            if point.cell.cores > 1 and not point.cell.limited:
                by_source.setdefault(point.cell.source, []).append(point)
        for source, points in by_source.items():
            best = max(points, key=lambda point: point.speedup)
            defined = DEFINITIONS.get(panel.facet.definition or "", "").partition(":")[0]
            lead = ", ".join(filter(None, (defined and f"weak scaling, {defined}",
                                           panel.facet.name)))  # fmt: skip
            told.append(
                f"{f'{lead}: ' if lead else ''}{style.plain(best.cell.series)} on "
                f"{best.cell.processes} processes is {digits(best.speedup)} times "
                f"{interval(best)} as fast as one process{_robust(best)}; {source}"
            )
    return told


def _robust(point: Point) -> str:
    own, base = robust_accuracy(point.cell), robust_accuracy(point.baseline)
    if own is None or base is None or point.cell is point.baseline:
        return ""
    return (f", robust accuracy {100 * own[0].median:.1f} % beside "
            f"{100 * base[0].median:.1f} %")  # fmt: skip


def chart(analysis: Analysis) -> Chart:
    """Speed-up over processes by strategy, with intervals; a panel to choose."""
    values = [
        Value(
            point.cell.cores, point.speedup, point.cell.series, point.cell.source,
            panel_name(panel), point.low, point.high,
        )
        for panel in analysis.panels
        for point in panel.drawn
    ]  # fmt: skip
    return Chart("processes times threads", "speed-up", values, panel_title="configuration")
