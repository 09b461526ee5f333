"""The simulated host, and what intervals make of it."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.comparison.arms import AGAIN, NEWER, OLDER
from harness.selfcheck.alarms import Alarms, counted
from harness.selfcheck.synthetic import METHODS, TRUTH, coverage, intervals, simulate
from harness.tables.table import read_cells
from tests.harness.studies import harness


def test_without_noise_every_pair_tells_the_truth_but_for_the_drift():
    random = np.random.default_rng(0)
    still = simulate(random, 6, "none", 0.1, 1e-12)
    assert [a / b for a, b in still] == pytest.approx([TRUTH] * 6)
    drifting = simulate(random, 60, "ramp", 0.1, 1e-12)
    assert drifting[-1][0] > 1.15 * drifting[0][0]  # 10 % an hour, and more than two hours
    assert [a / b for a, b in drifting] == pytest.approx([TRUTH] * 60, rel=0.005)


def test_pairs_are_narrower_where_the_host_drifts_and_cover_all_the_same():
    found = {
        told.method: told
        for told in coverage(120, [12], [0.005], 0.3, seed=3)
        if told.drift == "ramp"
    }
    assert set(found) == set(METHODS)
    paired = found["signed rank"]
    assert paired.covered >= 0.9  # of 120: two standard deviations below 95 %
    assert 3 * paired.width < found["medians"].width


def test_too_few_rounds_give_no_interval():
    with pytest.raises(ValueError, match="expected 6 or more"):
        intervals(np.random.default_rng(0), [(3.0, 1.0)] * 5)


def test_command_prints_a_row_for_each_interval():
    told = CliRunner().invoke(
        main, ["self-check", "--synthetic", "--studies", "2", "--rounds", "6"]
    )
    assert told.exit_code == 0
    assert len(told.output.splitlines()) == 1 + 4 * 2 * len(METHODS)


def test_false_alarms_are_counted_by_comparison():
    random = np.random.default_rng(2)
    arms = [
        {"p": {str(r): float(np.exp(0.01 * random.standard_normal())) for r in range(12)}}
        for _ in range(3)
    ]
    for r in range(6):  # of two comparisons the first is a false alarm, of code and null alike
        arms[0]["p"][str(r)] *= 2.0
        arms[2]["p"][str(r)] *= 3.0
    told = counted(dict(zip((OLDER, NEWER, AGAIN), arms, strict=True)), comparisons=2, rounds=6)
    assert (told.comparisons, told.differences, told.void, told.verdicts) == (2, 1, 1, 0)


def test_surprise_is_the_binomial_tail():
    assert Alarms(20, 6, 0, 0, 0, 0, 0.0).surprise == pytest.approx(1.0)
    assert Alarms(1, 6, 1, 0, 0, 0, 0.0).surprise == pytest.approx(0.05)
    assert Alarms(20, 6, 6, 0, 0, 0, 0.0).surprise < 0.001


@pytest.mark.alone
def test_a_code_is_compared_with_itself_on_this_machine(tmp_path):
    told = harness("self-check", "--comparisons", 1, "--rounds", 6, cwd=tmp_path)
    assert told.returncode == 0, told.stderr  # one alarm of one is no surprise
    assert "1 comparisons of a code with itself, 6 rounds each" in told.stdout
    (folder,) = (tmp_path / "results" / "comparisons").iterdir()
    assert len(read_cells(folder / "newer" / "self_check.csv", ())[1]) == 12


@pytest.mark.alone
def test_planted_work_is_done_by_the_newer_code(tmp_path):
    told = harness("self-check", "--planted", 25, "--comparisons", 1, "--rounds", 6, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "a newer code that does 25 % more work than the older one" in told.stdout
    *_, row, _ = told.stdout.splitlines()
    assert row.split()[:2] == ["6", "1"]
    (arms,) = (tmp_path / "results" / "comparisons").iterdir()
    added = {
        arm: {row["added"] for row in read_cells(arms / arm / "self_check.csv", ())[1]}
        for arm in (OLDER, NEWER, AGAIN)
    }
    assert added == {OLDER: {"1000000"}, NEWER: {"1250000"}, AGAIN: {"1250000"}}


def test_findings_are_counted_by_comparison():
    steady = {str(r): 1.0 + r / 1000 for r in range(12)}
    slower = {r: 1.05 * seconds for r, seconds in steady.items()}
    arms = {OLDER: {"p": steady}, NEWER: {"p": slower}, AGAIN: {"p": slower}}
    assert counted(arms, comparisons=2, rounds=6).slower == 2
    assert counted({**arms, OLDER: {"p": slower}}, comparisons=2, rounds=6).slower == 0
