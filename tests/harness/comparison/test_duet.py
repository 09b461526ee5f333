"""Two arms at the same time, on separate cores."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.comparison.arms import AGAIN, NEWER, OLDER, Arm
from harness.comparison.measure import run
from harness.comparison.plan import Plan
from harness.machine import node_cores
from harness.run.progress import Lines
from harness.study.study import load_study
from harness.tables.table import RANK_COLUMNS, read_rows
from tests.harness.studies import rows_of_table, write_study

pytestmark = pytest.mark.ranks

STUDY = "[parameters]\nmode = {mode!r}\n[measure]\nwarmups = 1\nrepetitions = {repetitions}\n"


def compared(folder, monkeypatch, mode="good", repetitions=1):
    """What one round in duets tells."""
    monkeypatch.chdir(folder)
    study = write_study(folder, STUDY.format(mode=mode, repetitions=repetitions))
    arms = [Arm(name, "", folder, folder, study) for name in (OLDER, NEWER, AGAIN)]
    return run(arms, load_study(study), (), folder / "r", Lines(), Plan(1, 1, 0.5, duets=True))


def cpus_of(folder: Path, arm: str, row):
    ranks = read_rows(folder / "r" / arm / "sleepy.ranks.csv", RANK_COLUMNS)
    return {str(rank["cpus"]) for rank in ranks if rank["launch"] == row["launch"]}


def test_both_run_on_cores_of_their_own(tmp_path, monkeypatch):
    told = compared(tmp_path, monkeypatch)
    (point,) = told.judgement.points
    assert point.ratio.n == point.null.n == 1
    if node_cores() == 1:  # they take turns
        assert not told.duets
        return
    assert told.duets == {point.point}
    rows = {
        name: {row["launch_round"]: row for row in rows_of_table(tmp_path / "r" / name)}
        for name in (OLDER, NEWER, AGAIN)
    }
    assert [sorted(rows[name]) for name in (OLDER, NEWER, AGAIN)] == [
        ["0"], ["0", "0.null"], ["0.null"]
    ]  # fmt: skip
    for first, second, name in ((OLDER, NEWER, "0"), (NEWER, AGAIN, "0.null")):
        one = cpus_of(tmp_path, first, rows[first][name])
        other = cpus_of(tmp_path, second, rows[second][name])
        assert one
        assert not one & other
        assert rows[first][name]["host_other_cores"] == ""


@pytest.mark.parametrize("mode", ["raises", "exits"])
def test_a_launch_that_fails_lets_the_other_one_go_on(tmp_path, monkeypatch, mode):
    told = compared(tmp_path, monkeypatch, mode, repetitions=4)
    assert len(told.failed) == (2 if node_cores() > 1 else 1)
    assert not told.times[OLDER]
