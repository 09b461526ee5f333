"""``compare``: two tables, or two states of the code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from harness.comparison.arms import checked_out
from harness.comparison.measure import Told, run
from harness.comparison.plan import MOST_ROUNDS, PRECISION, ROUNDS, planned
from harness.comparison.verdicts import rounds_needed
from harness.errors import UserError
from harness.files import write_whole
from harness.launch.interruption import terminable
from harness.options import settings, study_named, study_settings
from harness.run.progress import reporter
from harness.streams import complain
from harness.study.points import varying_parameters
from harness.tables.compare import compare, environments_differ
from harness.tables.records import new_identity
from harness.tables.table import cells_of, format_csv
from harness.views import print_columns, print_disturbances

COLUMNS = ("point", "label", "rounds", "ratio", "low", "high", "p_value", "null_ratio", "null_low",
           "null_high", "null_p_value", "resolution", "verdict", "duet")  # fmt: skip


@click.command("compare")
@click.argument("first", metavar="FIRST.csv|STUDY.toml", type=click.Path(path_type=Path))
@click.argument("second", metavar="[SECOND.csv]", required=False,
                type=click.Path(path_type=Path))  # fmt: skip
@click.option("--against", metavar="REVISION",
              help="Measure STUDY under this older code, of git, and the present one.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(6),
              help="Launches of each point in each arm, at least "
                   f"[default: {ROUNDS}].")  # fmt: skip
@click.option("--max-rounds", type=click.IntRange(6),
              help="At most, where intervals are still wide "
                   f"[default: {MOST_ROUNDS}].")  # fmt: skip
@click.option("--precision", type=click.FloatRange(0, 1, min_open=True),
              help="Relative half width of intervals to reach "
                   f"[default: {PRECISION}].")  # fmt: skip
@click.option("--tolerance", type=click.FloatRange(0), default=0.0, show_default=True,
              help="Tell only of changes whose interval is beyond this, as a share.")  # fmt: skip
@click.option("--duet", is_flag=True,
              help="Run both codes at the same time on separate cores, where a point needs at most "
                   "half of them.")  # fmt: skip
@click.option("--build", default="", metavar="COMMAND",
              help="Shell command that builds what is to be built, in each checkout.")  # fmt: skip
@study_settings
def compare_command(
    first: Path, second: Path | None, against: str | None, rounds: int | None,
    max_rounds: int | None, precision: float | None, tolerance: float, duet: bool, build: str,
    results: Path, **named: Any,
) -> None:  # fmt: skip
    """Put two tables side by side, or measure two states of the code.

    Of two tables: point by point, with a Mann-Whitney test on launches, and what differs between
    their environments. They were measured at different times, so a busy hour looks like a change.

    Of a study, --against an older REVISION: both codes, and the newer one once more as the null
    arm, launched in turns; ratios within rounds, with intervals, adjusted for the number of
    points. Where the null arm shows a difference every verdict is withdrawn.

    A preset whose points get too few launches for an interval, such as smoke, asks for no
    precision: there are as many rounds as verdicts need, unless --rounds, --max-rounds or
    --precision says otherwise.

    Exit code of --against: 0 if nothing is slower, 1 if something is or a launch failed, 3 if
    nothing can be said.

    \b
    python -m harness compare old/results/strong_scaling.csv results/strong_scaling.csv
    python -m harness compare --against HEAD~5 experiments/strong_scaling.toml --preset smoke
    """  # noqa: D301
    if against is None:
        if second is None:
            raise UserError("one file is named; expected two tables, or --against and a study")
        _tables(first, second)
        return
    if second is not None:
        raise UserError("--against and two files are named; expected one study")
    study = study_named(first, **named)
    if study.measure.emulate:
        raise UserError("--emulate and --against are given; expected one of them")
    overrides = settings(named["overrides"], named["oversubscribe"], named["emulate"])
    plan = planned(study.measure, rounds, max_rounds, precision, tolerance, duet)
    folder = (results / "comparisons" / f"{study.name}-{new_identity()}").resolve()
    with terminable(), checked_out(first, against, build) as arms:
        click.echo(f"older: {arms[0].commit[:12]}; newer and null arm: {arms[1].commit[:12]}")
        if plan.rounds is None:
            click.echo(
                "the study asks for too few launches for an interval: as many rounds as verdicts "
                f"need; --precision {PRECISION} goes on until intervals are that narrow"
            )
        told = run(arms, study, overrides, folder, reporter(), plan)
    _print(told, folder)
    sys.exit(1 if told.failed else told.judgement.exit_code)


def _tables(first: Path, second: Path) -> None:
    head = ["point", "first / s", "second / s", "second / first", "n", "p"]
    rows = [
        [row.point, f"{row.first.median:.4g}", f"{row.second.median:.4g}", f"{row.ratio:.3f}",
         f"{row.first.n}, {row.second.n}",
         "n too small" if row.p_value is None else f"{row.p_value:.3g}"]
        for row in compare(first, second)
    ]  # fmt: skip
    print_columns([head, *rows])
    for name, one, other in environments_differ(first, second):
        click.echo(f"differs: {name}: {one} | {other}")


def _print(told: Told, folder: Path) -> None:
    labels = _labels(told)
    head = ["point", "", "newer / older", "95 % interval", "p", "null", "95 % interval",
            "resolves / %", "verdict"]  # fmt: skip
    shown, rows = [head], []
    for compared in told.judgement.points:
        ratio, null, resolution = compared.ratio, compared.null, compared.resolution
        shown.append([
            compared.point, labels[compared.point], f"{ratio.value:.3f}",
            _interval(ratio.low, ratio.high), f"{compared.p_value:.3g}", f"{null.value:.3f}",
            _interval(null.low, null.high),
            "" if resolution is None else f"{100 * resolution:.1f}", compared.word,
        ])  # fmt: skip
        values = (compared.point, labels[compared.point], ratio.n, ratio.value, ratio.low,
                  ratio.high, compared.p_value, null.value, null.low, null.high,
                  compared.null_p_value, resolution, compared.word,
                  compared.point in told.duets)  # fmt: skip
        rows.append(cells_of(dict(zip(COLUMNS, values, strict=True))))
    print_columns(shown)
    write_whole(folder / "verdicts.csv", format_csv(COLUMNS, rows))
    print_disturbances(told.states)
    duets = f"{len(told.duets)} points in duets, " if told.duets else ""
    click.echo(
        f"{told.rounds} rounds, {duets}ended by {told.stopped_by}; {_summary(told)}; "
        f"tables: {folder}"
    )
    for failure in told.failed:
        complain(f"failed: {failure}")


def _summary(told: Told) -> str:
    judgement = told.judgement
    if judgement.void:
        return "the null arm, which is the same code, differs from it: every verdict is withdrawn"
    needed = rounds_needed(max(1, len(judgement.points)))
    if told.rounds < needed:
        return f"{len(judgement.points)} points need {needed} rounds or more for a verdict"
    widths = [c.resolution for c in judgement.points if c.resolution is not None]
    if not widths:
        return "no point was measured in all arms"
    return f"the smallest change that could be told at every point: {100 * max(widths):.1f} %"


def _labels(told: Told) -> dict[str, str]:
    points = [state.point for state in told.states]
    varying = varying_parameters(list({point.id: point for point in points}.values()))
    return {point.id: point.label(varying) for point in points}


def _interval(low: float | None, high: float | None) -> str:
    return "n too small" if low is None or high is None else f"{low:.3f} to {high:.3f}"
