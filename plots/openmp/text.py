"""The OpenMP study as printed tables."""

from __future__ import annotations

from harness.tables.statistics import Summary
from plots.openmp import attack as openmp_attack
from plots.openmp import random as openmp_random
from plots.openmp.attack import Study
from plots.openmp.gradient import gradients
from plots.openmp.table import NAMES, Chain, OpenMP
from plots.shared.speedup import digits


def describe(found: OpenMP, study: Study | None = None) -> str:
    """All parts, with 95 % intervals over launches."""
    selection = found.selection
    lines = [
        f"{selection.study}: {len(found.rows)} times of {len(selection.rows)} repetitions, "
        f"environment {selection.environment}",
        *(f"  left out: {gone.count} rows, {gone.reason}" for gone in selection.left_out),
    ]
    for chain in found.chains:
        lines += ["", *_chain(chain)]
    if found.of("gradient"):
        lines += ["", *_gradients(found)]
    if found.of("attack"):
        lines += ["", *_attacks(found, study)]
    return "\n".join(lines)


def _chain(chain: Chain) -> list[str]:
    drawn = f", {chain.draws} draws" if chain.draws > 1 else ""
    lines = [
        f"chain {chain.name}{drawn}",
        f"{'way':16} {'threads':>7} {'ms':>9}  {'speed-up (95 %)':24} {'work':>8} {'rate':>7} "
        f"{'parallel':>8} {'busy cores':>10}",
    ]
    for way in chain.ways:
        lines.append(
            f"{NAMES[way.method]:16} {way.threads:7} {1000 * way.seconds.median:9.4g}  "
            f"{interval(way.speedup):24} {way.work.median:8.4g} {_middle(way.rate):>7} "
            f"{_middle(way.parallel):>8} {way.cores.median:10.2f}"
        )
    if chain.draws > 1 and (draws := openmp_random.draws(chain)):
        lines.append(openmp_random.describe(draws))
    return lines


def _gradients(found: OpenMP) -> list[str]:
    lines = []
    for size, ways in gradients(found.of("gradient")).items():
        lines += [
            f"input gradient, batch size {size}",
            f"{'way':16} {'threads':>7} {'ms':>9}  {'time / autograd, 1 thread (95 %)':34} "
            f"{'building ms':>11} {'MFLOP':>9} {'matrices MB':>11}",
        ]
        for way in ways:
            built = "" if way.building is None else f"{1000 * way.building.median:.4g}"
            work = "" if way.flops is None else f"{way.flops / 1e6:.4g}"
            memory = "" if way.memory is None else f"{way.memory / 1e6:.4g}"
            ratio = "" if way.ratio is None else interval(way.ratio)
            lines.append(
                f"{NAMES[way.method]:16} {way.threads:7} {1000 * way.seconds.median:9.4g}  "
                f"{ratio:34} {built:>11} {work:>9} {memory:>11}"
            )
        lines.append("")
    return lines[:-1]


def _attacks(found: OpenMP, study: Study | None) -> list[str]:
    lines = []
    for backend, layouts in openmp_attack.layouts(found.of("attack")).items():
        lines += [
            f"attack, {backend}: a minibatch on every process",
            f"{'processes':>9} {'threads':>7} {'image-steps/s':>14}  speed-up (95 %)",
        ]
        for layout in layouts:
            bounds = "(n too small)" if layout.cores > 1 else ""
            if layout.low is not None and layout.high is not None:
                bounds = f"[{digits(layout.low)}, {digits(layout.high)}]"
            speedup = "" if layout.speedup is None else f"{layout.speedup:.3g}"
            lines.append(
                f"{layout.processes:9} {layout.threads:7} {layout.rate.median:14,.0f}  "
                f"{speedup} {bounds}".rstrip()
            )
        lines.append("")
    if study:
        lines.append(
            f"the study on {study.cores} cores: {study.threads:.3g} with {study.cores} threads, "
            f"{study.processes:.3g} with {study.cores} processes (training, 32 steps)"
        )
    return lines if lines[-1] else lines[:-1]


def interval(summary: Summary) -> str:
    """A median and its interval in words."""
    if summary.low is None or summary.high is None:
        return f"{digits(summary.median)} (n too small)"
    return f"{digits(summary.median)} [{digits(summary.low)}, {digits(summary.high)}]"


def _middle(summary: Summary | None) -> str:
    return "" if summary is None else f"{summary.median:.3g}"


def headlines(found: OpenMP) -> list[str]:
    """The best way to multiply each chain, and the chains where none is shown to be better."""
    told, none = [], []
    for chain in found.chains:
        best = max(chain.ways, key=lambda way: way.speedup.median)
        if best.speedup.median <= 1 or (best.speedup.low or 2.0) <= 1:
            none.append(chain.name)
            continue
        threads = f"{best.threads} thread{'' if best.threads == 1 else 's'}"
        told.append(
            f"chain {chain.name}: {NAMES[best.method]} with {threads} is "
            f"{interval(best.speedup)} times as fast as left to right on one; measured"
        )
    if none:
        told.append(f"chain{'' if len(none) == 1 else 's'} {', '.join(none)}: no way is shown to "
                    "be faster than left to right on one thread; measured")  # fmt: skip
    return told
