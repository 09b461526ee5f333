"""``self-check``: the harness measured by its own means."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.run.progress import reporter
from harness.selfcheck.alarms import count
from harness.selfcheck.synthetic import coverage
from harness.tables.records import new_identity
from harness.views import print_columns


@click.command("self-check")
@click.option("--synthetic", is_flag=True,
              help="Simulate studies on a host that drifts, and count how often intervals of a "
                   "ratio hold the true one.")  # fmt: skip
@click.option("--comparisons", type=click.IntRange(1), default=20, show_default=True,
              help="Comparisons of a code with itself, on this machine.")  # fmt: skip
@click.option("--duet", is_flag=True,
              help="Run both at the same time on separate cores.")  # fmt: skip
@click.option("--results", type=click.Path(path_type=Path, file_okay=False),
              default=Path("results"), show_default=True,
              help="Folder of the tables and launch files.")  # fmt: skip
@click.option("--studies", type=click.IntRange(1), default=1000, show_default=True,
              help="Simulated studies of each kind.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(6), multiple=True, default=(6, 10, 20),
              show_default=True, help="Of a study; may be given several times.")  # fmt: skip
@click.option("--noise", type=click.FloatRange(0, min_open=True), multiple=True,
              default=(0.005, 0.02), show_default=True,
              help="Standard deviation of a launch; may be given several times.")  # fmt: skip
@click.option("--drift", type=click.FloatRange(0), default=0.1, show_default=True,
              help="How much slower the host becomes in an hour.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def self_check(
    synthetic: bool, comparisons: int, duet: bool, results: Path, studies: int,
    rounds: tuple[int, ...], noise: tuple[float, ...], drift: float, seed: int,
) -> None:  # fmt: skip
    """Measure the harness by its own means.

    Compares a code with itself, time and again, and counts false alarms (exit code 1 if they are
    more than chance explains); each comparison has the smallest of --rounds.

    \b
    python -m harness self-check
    python -m harness self-check --synthetic
    python -m harness self-check --synthetic --drift 0.5 --rounds 9
    """  # noqa: D301
    if not synthetic:
        _measured(results, comparisons, min(rounds), duet)
        return
    head = ["drift", "noise / %", "rounds", "interval", "covers / %", "half width / %"]
    rows = [
        [told.drift, f"{100 * told.noise:g}", str(told.rounds), told.method,
         f"{100 * told.covered:.1f}", f"{100 * told.width:.2f}"]
        for told in coverage(studies, rounds, noise, drift, seed)
    ]  # fmt: skip
    print_columns([head, *rows])


def _measured(results: Path, comparisons: int, rounds: int, duets: bool) -> None:
    folder = (results / "comparisons" / f"self_check-{new_identity()}").resolve()
    told = count(folder, comparisons, rounds, reporter(), duets)
    click.echo(
        f"{told.comparisons} comparisons of a code with itself, {told.rounds} rounds each: "
        f"{told.differences} found a difference (chance gives {0.05 * told.comparisons:g}; "
        f"so many or more with probability {told.surprise:.2g})"
    )
    click.echo(
        f"{told.void} were withdrawn by their null arm; {told.verdicts} false verdicts are left"
    )
    click.echo(f"the smallest change that half of them could tell: {100 * told.resolution:.1f} %")
    click.echo(f"tables: {folder}")
    if told.surprise < 0.001:
        sys.exit(1)
