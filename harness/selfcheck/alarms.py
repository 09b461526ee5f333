"""How often the harness finds a difference between a code and itself, measured on this machine.

`harness.comparison` is given the same code as both codes. Whatever verdict it reaches is a false
alarm; about one comparison in 20 may reach one, by the confidence that is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from harness.comparison.arms import AGAIN, NEWER, OLDER, Arm
from harness.comparison.measure import Plan, names_of, run
from harness.comparison.verdicts import ALPHA, Times, judge
from harness.run.progress import Reporter
from harness.study.study import study_of
from harness.study.toml_source import TomlSource

_STUDY = """
name = "self_check"
workload = "harness.selfcheck.spin:Spin"
[parameters]
additions = 1_000_000
[measure]
warmups = 1
repetitions = 1
"""


@dataclass(frozen=True)
class Alarms:
    """What comparisons of a code with itself said.

    Attributes:
        comparisons: how many there were.
        rounds: of each.
        differences: how many found one between the two, before the null arm has its say.
        void: how many were withdrawn because of the null arm.
        verdicts: how many told of a difference in the end.
        resolution: median of the smallest changes that they could have told, as a share.
    """

    comparisons: int
    rounds: int
    differences: int
    void: int
    verdicts: int
    resolution: float

    @property
    def surprise(self) -> float:
        """Probability of so many differences or more, were each as likely as promised."""
        n, k = self.comparisons, self.differences
        return sum(
            math.comb(n, i) * ALPHA**i * (1 - ALPHA) ** (n - i) for i in range(k, n + 1)
        )  # fmt: skip


def count(
    results: Path, comparisons: int, rounds: int, reporter: Reporter, duets: bool = False
) -> Alarms:
    """Compare a code with itself, time and again.

    Args:
        results: folder of the arms' tables.
        comparisons: how often.
        rounds: of each comparison, 6 or more.
        reporter: told of what happens.
        duets: whether two arms are launched at the same time, where both have cores.

    Raises:
        UserError: if no launcher can be used, or another run measures on this host.
    """
    file = Path.cwd() / "self_check.toml"
    study = study_of(TomlSource(file, _STUDY), None, ())
    arms = [Arm(name, "", Path.cwd(), Path.cwd(), file) for name in (OLDER, NEWER, AGAIN)]
    number = comparisons * rounds
    told = run(arms, study, (), results, reporter, Plan(number, number, precision=0.0, duets=duets))
    return counted(told.times[OLDER], told.times[NEWER], told.times[AGAIN], comparisons, rounds)


def counted(older: Times, newer: Times, again: Times, comparisons: int, rounds: int) -> Alarms:
    """Judge the rounds in portions of one comparison each."""
    judgements = []
    for first in range(0, comparisons * rounds, rounds):
        names = {name for number in range(first, first + rounds) for name in names_of(number)}
        parts = [
            {point: {r: s for r, s in seconds.items() if r in names}
             for point, seconds in arm.items()}
            for arm in (older, newer, again)
        ]  # fmt: skip
        judgements.append(judge(parts[0], parts[1], parts[2]))
    points = [compared for judgement in judgements for compared in judgement.points]
    resolutions = sorted(c.resolution for c in points if c.resolution is not None)
    return Alarms(
        len(judgements), rounds,
        sum(any(c.p_value <= ALPHA for c in j.points) for j in judgements),
        sum(judgement.void for judgement in judgements),
        sum(any(c.word in ("slower", "faster") for c in j.points) for j in judgements),
        resolutions[len(resolutions) // 2] if resolutions else math.nan,
    )  # fmt: skip
