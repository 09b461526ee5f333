"""The attack benchmark in words and numbers."""

from __future__ import annotations

from harness.tables.statistics import Summary
from plots.attack_benchmark.table import ATTACK, BASES, NAMES, TASKS, Benchmark, Cell
from plots.shared.chart import Chart, Value
from plots.shared.speedup import digits


def describe(benchmark: Benchmark) -> str:
    """The run as text: times, rates and ratios with their 95 % intervals."""
    row = benchmark.rows[0]
    lines = [
        f"attack benchmark, run {benchmark.run}, {len(benchmark.rows)} rows: network "
        f"'{row['network']}', {benchmark.weights} weights"
    ]
    if benchmark.left_out:
        lines.append(f"left out: {benchmark.left_out} rows of other runs")
    against = NAMES.get(benchmark.base or "", "")
    for panel in benchmark.panels:
        rate = "image-steps/s" if panel.task == ATTACK else "images/s"
        lines += ["", f"{panel.task}, {panel.title}", f"{'batch':>5}  {'competitor':18} {'n':>3} "
                  f"{f'ms an {panel.task}':>15} {rate:>14} {'first call s':>13}"
                  + (f"  time / {against} (95 %)" if against else "")]  # fmt: skip
        lines += [_line(cell) for cell in panel.cells]
    notes = {
        "fused": "Sparring's kernels are compiled once in a run, at the first call of all.",
        "compile": "torch.compile compiles at the first call of each batch size, in whichever "
                   "steps came first.",
    }  # fmt: skip
    lines += ["", *(note for name, note in notes.items() if name in benchmark.competitors)]
    return "\n".join(lines)


def _line(cell: Cell) -> str:
    name = NAMES.get(cell.competitor, cell.competitor)
    head = f"{cell.batch_size:5}  {name:18} {len(cell.rows):3}"
    if cell.seconds is None or cell.rate is None:
        return f"{head}  {cell.trouble}"
    milliseconds = 1000 * cell.seconds.median
    time = f"{milliseconds:,.0f}" if milliseconds >= 1000 else f"{milliseconds:.4g}"
    text = (
        f"{head} {time:>15} {cell.rate.median:14,.0f} "
        f"{float(cell.rows[0]['first_call_seconds']):13.3g}"
    )
    if cell.ratio is not None:
        text += f"  {digits(cell.ratio.median)} {interval(cell.ratio)}"
    return f"{text}  ({cell.trouble})" if cell.trouble else text


def interval(summary: Summary) -> str:
    """An interval in words."""
    if summary.low is None or summary.high is None:
        return "(n too small)"
    return f"[{digits(summary.low)}, {digits(summary.high)}]"


def headlines(benchmark: Benchmark) -> list[str]:
    """For each task at its largest batch, the nearest competitor's time over ours."""
    told = []
    for task in TASKS:
        panels = [panel for panel in benchmark.panels if panel.task == task]
        if not panels:
            continue
        panel = max(panels, key=lambda panel: (-panel.threads, panel.steps))
        size = max(cell.batch_size for cell in panel.cells)
        others = [
            cell for cell in panel.cells
            if cell.batch_size == size and cell.competitor not in BASES and cell.ratio
        ]  # fmt: skip
        if others and benchmark.base:
            nearest = min(others, key=lambda cell: cell.ratio.median if cell.ratio else 0.0)
            assert nearest.ratio is not None
            told.append(
                f"{task} of {size} images, {panel.title}: {NAMES[benchmark.base]} is "
                f"{digits(nearest.ratio.median)} times {interval(nearest.ratio)} as fast as the "
                f"fastest other, {NAMES.get(nearest.competitor, nearest.competitor)}; measured"
            )
    return told


def chart(benchmark: Benchmark) -> Chart:
    """Rates over batch sizes by competitor; a task to choose."""
    values = [
        Value(
            cell.batch_size, cell.rate.median, NAMES.get(cell.competitor, cell.competitor),
            "measured", f"{panel.task}, {panel.title}", cell.rate.low, cell.rate.high,
        )
        for panel in benchmark.panels
        for cell in panel.cells
        if cell.rate
    ]  # fmt: skip
    return Chart("batch size [images]", "image-steps (attack) or images per second", values,
                 x_log=True, y_log=True, panel_title="task")  # fmt: skip
