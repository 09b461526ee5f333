"""How often the fits' 95 % intervals hold the truth, on synthetic studies; all of it simulated.

    python -m plots.scaling.coverage --studies 1000

A study has 1, 2, 4, 8 and 16 processes in rounds on a host that wanders, and follows Amdahl's law,
or the Universal Scalability Law, exactly but for the noise of each launch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
import numpy as np

from plots.scaling.fits import fit_models
from plots.scaling.laws import AMDAHL, AMDAHL_COMMUNICATION, Model
from plots.shared.speedup import Cell, compare

PROCESSES = (1, 2, 4, 8, 16)
#: The laws, with the parameters that their studies follow.
TRUTHS: tuple[tuple[Model, tuple[float, ...]], ...] = (
    (AMDAHL, (0.05,)),
    (AMDAHL_COMMUNICATION, (0.03, 0.002)),
)


@dataclass(frozen=True)
class Covered:
    """How often the interval of one parameter held the truth, with and without pairing."""

    model: str
    parameter: str
    rounds: int
    paired: bool
    studies: int
    share: float


def covered(
    studies: int, rounds: int, noise: float, wander: float, seed: int,
    pairings: tuple[bool, ...] = (True, False),
) -> Iterator[Covered]:  # fmt: skip
    """Simulate and fit.

    Args:
        studies: of each law.
        rounds: launches of each point.
        noise: standard deviation of a launch's logarithm (dimensionless).
        wander: the same of the host's slowness, which a round's launches share.
        seed: of the random numbers.
        pairings: whether rounds are told, or not, or both in turn.
    """
    random = np.random.default_rng(seed)
    for model, truth in TRUTHS:
        law = model.times(np.array(PROCESSES, dtype=np.float64), np.array([truth]))[0]
        held = {paired: np.zeros(len(truth)) for paired in pairings}
        for _ in range(studies):
            host = np.exp(wander * random.standard_normal(rounds))
            own = np.exp(noise * random.standard_normal((len(PROCESSES), rounds)))
            seconds = 100.0 * law[:, None] * own * host[None, :]
            for paired in pairings:
                base, *others = (
                    _cell(p, row, paired) for p, row in zip(PROCESSES, seconds, strict=True)
                )
                (fit,) = fit_models([model], [compare(cell, base) for cell in others], True)
                for i, (low, high) in enumerate(fit.intervals or ()):
                    held[paired][i] += low <= truth[i] <= high
        for paired, counts in held.items():
            for name, count in zip(model.parameters, counts, strict=True):
                yield Covered(model.name, name, rounds, paired, studies, float(count) / studies)


def _cell(p: int, seconds: np.ndarray, paired: bool) -> Cell:
    rows = tuple(
        {"point": str(p), "launch": str(i), "repetition": 0, "seconds": float(value),
         "launch_round": f"r{i}" if paired else None}
        for i, value in enumerate(seconds)
    )  # fmt: skip
    return Cell("sequential" if p == 1 else "data_parallel", "simulated", p, 1, None, rows)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--studies", type=click.IntRange(1), default=1000, show_default=True,
              help="Synthetic studies of each law.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(6), multiple=True, default=(6, 12),
              show_default=True, help="May be given several times.")  # fmt: skip
@click.option("--noise", type=click.FloatRange(0), default=0.01, show_default=True)
@click.option("--wander", type=click.FloatRange(0), default=0.05, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def main(studies: int, rounds: tuple[int, ...], noise: float, wander: float, seed: int) -> None:
    """Count how often the fits' 95 % intervals hold the truth, on synthetic studies."""
    say: Callable[[str], None] = click.echo
    say(f"noise of a launch {100 * noise:g} %, of a round {100 * wander:g} %, {studies} studies")
    for number in rounds:
        for told in covered(studies, number, noise, wander, seed):
            how = "in rounds" if told.paired else "unpaired"
            say(f"{told.model:22}{told.parameter:3}{told.rounds:4} {how:10}"
                f"{100 * told.share:6.1f} %")  # fmt: skip


if __name__ == "__main__":
    main()
