"""The arms of a comparison launched in rounds: older, newer, again; again, newer, older; and so on.

Within a round the launches of a point follow one another, in turns forwards and backwards, so that
a host that becomes slower is no arm's fault (the ABBA order). In duets two arms are launched at the
same time: older and newer, then newer and again. Rounds end when the intervals are narrow or the
rounds are spent; never because of what they show.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.comparison import duet
from harness.comparison.arms import AGAIN, NEWER, OLDER, Arm
from harness.comparison.plan import Plan
from harness.comparison.verdicts import Judgement, Times, judge, rounds_needed
from harness.errors import UserError
from harness.run.launches import Launches, lacking
from harness.run.progress import Reporter
from harness.run.runner import alone_on_host
from harness.run.schedule import PointState
from harness.run.session import Session
from harness.study.study import Study, study_of
from harness.study.toml_source import TomlSource


@dataclass(frozen=True)
class Told:
    """The outcome.

    Attributes:
        judgement: what is said of each point.
        rounds: after how many rounds.
        stopped_by: why they ended, ``precision`` or ``rounds``.
        states: the points of all arms.
        failed: a sentence for each that failed.
        times: of each arm, seconds by point and round.
        duets: the points that were launched in duets.
    """

    judgement: Judgement
    rounds: int
    stopped_by: str
    states: Sequence[PointState]
    failed: Sequence[str]
    times: Mapping[str, Times]
    duets: frozenset[str] = frozenset()


class _Running:
    """One arm's launches, of the code in its worktree."""

    def __init__(
        self, arm: Arm, study: Study, overrides: Sequence[str], results: Path, reporter: Reporter
    ) -> None:
        self.arm = arm
        source = TomlSource(arm.study, study.source.text)
        own = study_of(source, study.preset or None, tuple(overrides))
        own = own.model_copy(update={"root": arm.folder})
        self.session = Session(own, results / arm.name)
        self.launches = Launches(self.session, reporter)
        self.launches.check()

    def launch(self, point: str, name: str) -> None:
        self.launches.launch(self.launches.states[point], name)

    def beside(self, other: _Running, point: str, name: str) -> None:
        """Launch a point in this arm and in another one at the same time."""
        one, second = self.launches.states[point], other.launches.states[point]
        with duet.companies(one.point) as (ours, theirs):
            records = duet.together(
                self.launches.begin(one, name, ours), other.launches.begin(second, name, theirs)
            )
        self.launches.count(one, records[0])
        other.launches.count(second, records[1])

    def times(self) -> dict[str, dict[str, float]]:
        return {
            point: state.rounds
            for point, state in self.launches.states.items()
            if not state.failures
        }


def run(
    arms: Sequence[Arm], study: Study, overrides: Sequence[str], results: Path,
    reporter: Reporter, plan: Plan,
) -> Told:  # fmt: skip
    """Launch every point of a study in every arm, round after round.

    Args:
        arms: the three, checked out.
        study: as it stands in the present code; all arms are measured by it.
        overrides: the settings that it was opened with.
        results: folder of the arms' tables, one folder each.
        reporter: told of what happens.
        plan: how long it goes on.

    Raises:
        UserError: if an arm's workload refuses a point, or no point fits on this machine.
    """
    running = {arm.name: _Running(arm, study, overrides, results, reporter) for arm in arms}
    first = running[NEWER].session
    oversubscribe = study.measure.oversubscribe
    points = [point.id for point in first.points if not lacking(point, oversubscribe)]
    if not points:
        raise UserError(f"{study.source.path}: no point fits on this machine; expected one or more")
    known = {point.id: point for point in first.points}
    duets = frozenset(id_ for id_ in points if plan.duets and duet.fits(first, known[id_]))
    launches = len(points) * len(arms) + len(duets)  # of a round: a duet's newer arm has two
    least = plan.rounds or rounds_needed(len(points))
    number, stopped_by = 0, "rounds"
    with alone_on_host(first):
        reporter.begin(least * launches)
        try:
            for each in running.values():
                each.session.folder.mkdir(parents=True, exist_ok=True)
                each.launches.note_session()
            while number < max(least, plan.most_rounds):
                if number >= least:
                    reporter.more(launches)
                reporter.round(number + 1)
                _round(running, points, duets, number)
                number += 1
                told = _judged(running, plan)
                if number >= least and _narrow(told, plan.precision):
                    stopped_by = "precision"
                    break
        finally:
            reporter.end()
            for each in running.values():
                each.session.collect()
    return Told(
        _judged(running, plan), number, stopped_by,
        [s for each in running.values() for s in each.launches.states.values() if s.rounds],
        [f"{each.arm.name}: {state.point.id}: {state.failures[-1].message}"
         for each in running.values() for state in each.launches.states.values() if state.failures],
        {name: each.times() for name, each in running.items()},
        duets,
    )  # fmt: skip


def names_of(number: int) -> tuple[str, str]:
    """What a round is called, and in duets its second pair: newer and again."""
    return str(number), f"{number}.null"


def _round(
    running: dict[str, _Running], points: Sequence[str], duets: Collection[str], number: int
) -> None:
    name, second = names_of(number)
    turns = [(OLDER,), (NEWER,), (AGAIN,)]
    pairs = [(OLDER, NEWER), (NEWER, AGAIN)]
    for point in random.sample(points, len(points)):
        order: Sequence[tuple[str, ...]] = pairs if point in duets else turns
        for arms in order if number % 2 == 0 else reversed(order):
            if any(each.launches.states[point].failures for each in running.values()):
                break
            if len(arms) == 1:
                running[arms[0]].launch(point, name)
                continue
            one, other = random.sample(arms, 2)
            running[one].beside(running[other], point, name if OLDER in arms else second)


def _judged(running: dict[str, _Running], plan: Plan) -> Judgement:
    older, newer, again = (running[name].times() for name in (OLDER, NEWER, AGAIN))
    return judge(older, newer, again, plan.tolerance)


def _narrow(judgement: Judgement, precision: float | None) -> bool:
    if precision is None:
        return False
    widths = [
        ratio.relative_half_width
        for compared in judgement.points
        for ratio in (compared.ratio, compared.null)
    ]
    return all(width is not None and width <= precision for width in widths)
