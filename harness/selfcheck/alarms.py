"""How often the harness finds a difference between a code and itself, measured on this machine.

`harness.comparison` is given the same code as both codes. Whatever verdict it reaches is a false
alarm; about one comparison in 20 may reach one, by the confidence that is asked for. Or the newer
code does so much more work: how many comparisons find that?
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.comparison.arms import AGAIN, NEWER, OLDER, Arm
from harness.comparison.measure import names_of, run
from harness.comparison.plan import Plan
from harness.comparison.verdicts import ALPHA, Times, judge
from harness.launch.interruption import terminable
from harness.run.progress import Reporter
from harness.study.study import study_of
from harness.study.toml_source import TomlSource

_STUDY = """
name = "self_check"
workload = "code_of_self_check:Spin"
[parameters]
additions = 1_000_000
[measure]
warmups = 1
repetitions = 1
"""
#: What an arm's folder holds, so that the arms' codes differ as commits do: in a file.
_CODE = """
from harness.selfcheck import spin

class Spin(spin.Spin):
    share = {share!r}
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
        slower: how many of these said that the newer code is slower.
        resolution: median of the smallest changes that they could have told, as a share.
    """

    comparisons: int
    rounds: int
    differences: int
    void: int
    verdicts: int
    slower: int
    resolution: float

    @property
    def surprise(self) -> float:
        """Probability of so many differences or more, were each as likely as promised."""
        n, k = self.comparisons, self.differences
        return sum(
            math.comb(n, i) * ALPHA**i * (1 - ALPHA) ** (n - i) for i in range(k, n + 1)
        )  # fmt: skip


def measure(
    results: Path, rounds: int, reporter: Reporter, duets: bool = False, planted: float = 0.0
) -> Mapping[str, Times]:
    """The times of a code, of the same one or one that does more work, and of that once more.

    Args:
        results: folder of the arms' tables.
        rounds: launches of each arm.
        reporter: told of what happens.
        duets: whether two arms are launched at the same time, where both have cores.
        planted: how much more work the newer code does, as a share.

    Raises:
        UserError: if no launcher can be used, or another run measures on this host.
    """
    file = Path.cwd() / "self_check.toml"
    study = study_of(TomlSource(file, _STUDY), None, ())
    with terminable(), tempfile.TemporaryDirectory(prefix="harness-self-check-") as place:
        arms = []
        for number, name in enumerate((OLDER, NEWER, AGAIN)):
            folder = Path(place) / f"arm-{number}"  # names of one length, as a comparison's are
            folder.mkdir()
            share = 1.0 if name == OLDER else 1.0 + planted
            (folder / "code_of_self_check.py").write_text(_CODE.format(share=share))
            arms.append(Arm(name, "", folder, folder, file))
        plan = Plan(rounds, rounds, precision=0.0, duets=duets)
        return run(arms, study, (), results, reporter, plan).times


def counted(times: Mapping[str, Times], comparisons: int, rounds: int) -> Alarms:
    """Judge the rounds in portions of one comparison each."""
    judgements = []
    for first in range(0, comparisons * rounds, rounds):
        names = {name for number in range(first, first + rounds) for name in names_of(number)}
        parts = [
            {point: {r: s for r, s in seconds.items() if r in names}
             for point, seconds in times[arm].items()}
            for arm in (OLDER, NEWER, AGAIN)
        ]  # fmt: skip
        judgements.append(judge(parts[0], parts[1], parts[2]))
    points = [compared for judgement in judgements for compared in judgement.points]
    resolutions = sorted(c.resolution for c in points if c.resolution is not None)
    return Alarms(
        len(judgements), rounds,
        sum(any(c.p_value <= ALPHA for c in j.points) for j in judgements),
        sum(judgement.void for judgement in judgements),
        sum(any(c.word in ("slower", "faster") for c in j.points) for j in judgements),
        sum(any(c.word == "slower" for c in j.points) for j in judgements),
        resolutions[len(resolutions) // 2] if resolutions else math.nan,
    )  # fmt: skip
