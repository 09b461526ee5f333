"""``self-check``: the harness measured by its own means."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.run.progress import reporter
from harness.selfcheck.alarms import counted, measure
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
@click.option("--planted", type=click.FloatRange(0, min_open=True), metavar="PERCENT",
              help="Let the newer code do so much more work, and count how many comparisons find "
                   "it, for each of --rounds.")  # fmt: skip
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
    synthetic: bool, comparisons: int, duet: bool, planted: float | None, results: Path,
    studies: int, rounds: tuple[int, ...], noise: tuple[float, ...], drift: float, seed: int,
) -> None:  # fmt: skip
    """Measure the harness by its own means.

    Compares a code with itself, time and again, and counts false alarms (exit code 1 if they are
    more than chance explains); each comparison has the smallest of --rounds.

    \b
    python -m harness self-check
    python -m harness self-check --planted 5
    python -m harness self-check --synthetic
    python -m harness self-check --synthetic --drift 0.5 --rounds 9
    """  # noqa: D301
    if planted is not None:
        _planted(results, comparisons, rounds, duet, planted)
        return
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


def _folder(results: Path) -> Path:
    return (results / "comparisons" / f"self_check-{new_identity()}").resolve()


def _planted(
    results: Path, comparisons: int, rounds: tuple[int, ...], duets: bool, percent: float
) -> None:
    """The same rounds serve comparisons of every length, the shorter ones more of them."""
    folder, number = _folder(results), comparisons * max(rounds)
    times = measure(folder, number, reporter(), duets, percent / 100)
    rows = [["rounds", "comparisons", "found slower", "withdrawn", "resolves / %"]]
    for each in sorted(set(rounds)):
        told = counted(times, number // each, each)
        rows.append([str(each), str(told.comparisons), str(told.slower), str(told.void),
                     f"{100 * told.resolution:.1f}"])  # fmt: skip
    click.echo(f"a newer code that does {percent:g} % more work than the older one")
    print_columns(rows)
    click.echo(f"tables: {folder}")


def _measured(results: Path, comparisons: int, rounds: int, duets: bool) -> None:
    folder = _folder(results)
    times = measure(folder, comparisons * rounds, reporter(), duets)
    told = counted(times, comparisons, rounds)
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
