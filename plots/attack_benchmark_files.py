"""The attack benchmark's figures as files: one of attacks, one of training, as far as measured."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl

from harness.tables import write_whole
from plots import attack_benchmark_figure, attack_benchmark_training, style
from plots.attack_benchmark import ATTACK, TASKS, Benchmark

DOTS_PER_INCH = 200

#: What a figure's name adds to the table's, what it shows, and who draws it.
_FIGURES = (
    ("", (ATTACK,), attack_benchmark_figure.draw),
    ("_training", TASKS[1:], attack_benchmark_training.draw),
)


def save(benchmark: Benchmark, folder: Path) -> list[Path]:
    """Write every figure as .svg, .pdf and .png; equal input gives equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    nameless: dict[str, Any] = {"CreationDate": None, "Creator": None, "Producer": None}
    written = []
    for suffix, tasks, draw in _FIGURES:
        if (own := benchmark.of(*tasks)).competitors:
            name = f"{benchmark.path.stem}{suffix}"
            paths = [folder / f"{name}.{ending}" for ending in ("svg", "pdf", "png")]
            with mpl.rc_context(style.SETTINGS):
                figure = draw(own)
                write_whole(paths[0], _svg(figure))
                figure.savefig(paths[1], metadata=nameless)
                figure.savefig(paths[2], dpi=DOTS_PER_INCH, metadata={"Software": None})
            written += paths
    return written


def svgs(benchmark: Benchmark) -> dict[str, str]:
    """Every figure as SVG text without a date, by name."""
    with mpl.rc_context(style.SETTINGS):
        return {
            f"{benchmark.path.stem}{suffix}": _svg(draw(own))
            for suffix, tasks, draw in _FIGURES
            if (own := benchmark.of(*tasks)).competitors
        }


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
