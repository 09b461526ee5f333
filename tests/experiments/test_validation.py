"""Two instruments side by side."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from experiments.validation.command import compare, main
from harness.errors import UserError
from tests.plots.scaling_tables import Table


def table(folder, study="strategies", **by_source):
    """Tables of data_parallel at p = 2 and 4: seconds for 40 updates, by source."""
    made = Table(study, noise=0.01)
    for source, (seconds, keywords) in by_source.items():
        for p in (2, 4):
            made.add(
                seconds * 2 / p, processes=p, strategy="data_parallel", source=source,
                adversary_steps=32, batch_size=64, **{"updates": 40, **keywords},
            )  # fmt: skip
    return made.write(folder)


def test_the_difference_is_of_medians_per_update_with_an_interval(tmp_path):
    path = table(
        tmp_path, measured=(10.0, {}), emulated=(44.0, {"updates": 160, "calibration": "x"})
    )
    found = compare([path], "emulated", "measured")
    assert [d.key[-1] for d in found] == ["2", "4"]
    for d in found:
        assert d.seconds.percent == pytest.approx(10, abs=3)
        assert d.seconds.low < d.seconds.percent < d.seconds.high
        assert d.relative is None  # no T_1
        assert d.notes == "runs of different length"


def test_tables_are_taken_together_and_a_single_launch_has_no_interval(tmp_path):
    emulated = table(tmp_path / "a", emulated=(10.0, {}))
    simulated = table(tmp_path / "b", "simulation", simulated=(9.0, {"launches": 1}))
    found = compare([emulated, simulated], "simulated", "emulated")
    assert [round(d.seconds.percent, -1) for d in found] == [-10, -10]
    assert {d.seconds.low for d in found} == {None}


def test_a_slower_day_is_told_from_a_wrong_model(tmp_path):
    """Emulated times are 10 % longer, at p = 4 21 %: only half of that is the model."""
    made = Table("strategies", noise=0.001)
    problem = {"adversary_steps": 32, "batch_size": 64, "updates": 40}
    for source, one, four in (("measured", 10.0, 2.5), ("emulated", 11.0, 3.025)):
        made.add(one, processes=1, strategy="sequential", source=source, **problem)
        made.add(four, processes=4, strategy="data_parallel", source=source, **problem)
    path = made.write(tmp_path)
    four, one = compare([path], "emulated", "measured")
    assert one.relative is None
    assert four.seconds.percent == pytest.approx(21, abs=1)
    assert four.relative.percent == pytest.approx(10, abs=1)
    assert four.relative.low < four.relative.percent < four.relative.high
    assert "0 of 1 of them in units of T_1" in CliRunner().invoke(main, [str(path)]).output


def test_flagged_rows_are_shown_and_not_judged(tmp_path):
    path = table(
        tmp_path,
        measured=(10.0, {}),
        emulated=(20.0, {"metrics": {"emulation_limited": True}}),
    )
    result = CliRunner().invoke(main, [str(path), "--processes", "4"])
    assert result.exit_code == 0
    assert "limited by the emulation" in result.output
    assert "0 of 0 points that are not flagged are within 5 %" in result.output


def test_a_goal_is_met_or_missed(tmp_path):
    path = table(tmp_path, measured=(10.0, {}), emulated=(10.7, {}))
    judged = [CliRunner().invoke(main, [str(path), "--goal", goal]).output for goal in ("3", "20")]
    assert "0 of 2 points" in judged[0]
    assert "2 of 2 points" in judged[1]


def test_nothing_in_common_is_told_of(tmp_path):
    path = table(tmp_path, measured=(10.0, {}))
    with pytest.raises(UserError, match="0 points are emulated and 2 measured"):
        compare([path], "emulated", "measured")
    result = CliRunner().invoke(main, [str(path)])
    assert result.exit_code == 1
    assert "Error: no point has rows of both sources" in result.output
