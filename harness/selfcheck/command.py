"""``self-check``: the harness measured by its own means."""

from __future__ import annotations

import click

from harness.errors import UserError
from harness.selfcheck.synthetic import coverage
from harness.views import print_columns


@click.command("self-check")
@click.option("--synthetic", is_flag=True,
              help="Simulate studies on a host that drifts, and count how often intervals of a "
                   "ratio hold the true one.")  # fmt: skip
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
    synthetic: bool, studies: int, rounds: tuple[int, ...], noise: tuple[float, ...], drift: float,
    seed: int,
) -> None:  # fmt: skip
    """Measure the harness by its own means.

    \b
    python -m harness self-check --synthetic
    python -m harness self-check --synthetic --drift 0.5 --rounds 9
    """  # noqa: D301
    if not synthetic:
        raise UserError("self-check: expected --synthetic")
    head = ["drift", "noise / %", "rounds", "interval", "covers / %", "half width / %"]
    rows = [
        [told.drift, f"{100 * told.noise:g}", str(told.rounds), told.method,
         f"{100 * told.covered:.1f}", f"{100 * told.width:.2f}"]
        for told in coverage(studies, rounds, noise, drift, seed)
    ]  # fmt: skip
    print_columns([head, *rows])
