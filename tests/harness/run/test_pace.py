"""Repetitions too short for the clock, warm-ups by rule, and rates, in launches."""

from __future__ import annotations

import pytest

from harness.tables.table import read_cells, read_rows, rows_path
from tests.harness.studies import harness

pytestmark = pytest.mark.alone

WORKLOAD = """
class Short:
    version = 1

    def setup(self, comm, parameters): self.calls = 0

    def run(self):
        self.calls += 1
        return {"calls_so_far": self.calls}

    def teardown(self): pass

class Prepared(Short):
    version = 1

    def prepare(self, warmup): pass
"""


def rows_of(folder, name, *settings):
    (folder / "short.py").write_text(WORKLOAD)
    study = folder / "short.toml"
    study.write_text(f'name = "short"\nworkload = "short:{name}"\n[sweep.product]\n'
                     "processes = [2]\n[measure]\nlaunches = 1\nrepetitions = 2\n")  # fmt: skip
    chosen = [word for setting in settings for word in ("--set", setting)]
    told = harness("run", study, "--oversubscribe", *chosen, cwd=folder)
    assert told.returncode == 0, told.stderr
    return read_rows(rows_path(folder / "results", "short"))


def test_a_call_that_is_too_short_is_repeated_and_one_call_is_told(tmp_path):
    rows = rows_of(tmp_path, "Short")
    timed = [row for row in rows if not row["warmup"]]
    assert len(timed) == 2
    assert rows[0]["warmup"] is True
    assert rows[0]["run_calls"] == 1
    assert all(row["run_calls"] > 10 for row in timed)
    assert timed[-1]["calls_so_far"] == sum(row["run_calls"] for row in rows)
    assert all("too-short" not in str(row["marks"]) for row in rows)


def test_what_is_prepared_is_called_once_and_marked(tmp_path):
    rows = rows_of(tmp_path, "Prepared", "measure.max_warmups=4")
    assert [row["run_calls"] for row in rows] == [1] * len(rows)
    assert [row["warmup"] for row in rows][-3:] == [True, False, False]
    assert 3 <= sum(row["warmup"] for row in rows) <= 4
    assert all("too-short" in str(row["marks"]) for row in rows)


def test_points_that_are_compared_by_a_rate_must_tell_it(tmp_path):
    rows_of(tmp_path, "Short", "measure.throughput=calls_so_far")
    _, (point,) = read_cells(tmp_path / "results" / "short.points.csv", ())
    assert point["throughput_metric"] == "calls_so_far"
    assert float(point["median_throughput"]) > 1
    told = harness("run", tmp_path / "short.toml", "--set", "measure.throughput=absent",
                   "--set", "processes=1", cwd=tmp_path)  # fmt: skip
    assert told.returncode == 1
    assert "measure.throughput names the metric 'absent'; expected a number above 0" in told.stderr
