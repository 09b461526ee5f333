"""The attack benchmark's figures as files: one of attacks, one of training, as far as measured."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from plots.attack_benchmark import figure as attack_benchmark_figure
from plots.attack_benchmark import training as attack_benchmark_training
from plots.attack_benchmark.table import ATTACK, TASKS, Benchmark
from plots.shared import files

#: What a figure's name adds to the table's, what it shows, and who draws it.
_FIGURES = (
    ("", (ATTACK,), attack_benchmark_figure.draw),
    ("_training", TASKS[1:], attack_benchmark_training.draw),
)


def save(benchmark: Benchmark, folder: Path) -> list[Path]:
    """Write every figure as .svg, .pdf and .png; equal input gives equal bytes."""
    return [
        path
        for name, draw in _drawn(benchmark)
        for path in files.save(draw, folder, name, pdf=True)
    ]


def svgs(benchmark: Benchmark) -> dict[str, str]:
    """Every figure as SVG text without a date, by name."""
    return {name: files.as_svg(draw) for name, draw in _drawn(benchmark)}


def _drawn(benchmark: Benchmark) -> list[tuple[str, files.Draw]]:
    return [
        (f"{benchmark.path.stem}{suffix}", partial(draw, own))
        for suffix, tasks, draw in _FIGURES
        if (own := benchmark.of(*tasks)).competitors
    ]
