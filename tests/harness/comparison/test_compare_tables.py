"""Two tables side by side."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.run.schedule import PointState
from harness.tables.collect import collect
from harness.tables.compare import compare
from harness.tables.records import launches_folder, write_record
from harness.tables.statistics import summarize
from harness.tables.table import ROW_COLUMNS, format_csv, rows_path
from tests.harness.studies import record


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def table(folder, point_seconds):
    launches = launches_folder(folder, "sleepy")
    launches.mkdir(parents=True)
    for point, seconds in point_seconds.items():
        for number, value in enumerate(seconds):
            write_record(launches, record(f"{point}-{number}", value, point=point))
    collect(folder, "sleepy")
    return rows_path(folder, "sleepy")


def test_compare(tmp_path):
    first = table(tmp_path / "1", {"a": [1.0, 1.1, 1.2, 1.3], "b": [1.0], "c": [1.0]})
    second = table(tmp_path / "2", {"a": [2.0, 2.2, 2.4, 2.6], "b": [3.0]})
    a, b = compare(first, second)
    assert (a.point, a.ratio) == ("a", pytest.approx(2.0))
    assert a.p_value == pytest.approx(2 / 70)
    assert (b.point, b.ratio, b.p_value) == ("b", 3.0, None)
    result = call("compare", first, second)
    assert result.exit_code == 0
    assert "n too small" in result.output


def test_compare_says_what_differs_between_the_environments(tmp_path):
    first, second = tmp_path / "a" / "s.csv", tmp_path / "b" / "s.csv"
    for path, model, load in ((first, "old", 0.1), (second, "new", 0.1)):
        path.parent.mkdir()
        row = dict.fromkeys(ROW_COLUMNS, "1") | {
            "status": "ok", "warmup": "false", "environment": "e", "source": "measured",
            "schema_version": "1", "started_at": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        path.write_text(format_csv(ROW_COLUMNS, [row]))
        session = {"session": "s", "started_at": "2026-01-01", "load_average": [load]}
        known = {"e": {"fingerprint": {"cpu": {"model": model}}, "sessions": [session]}}
        path.with_suffix(".environment.json").write_text(json.dumps(known))
    told = call("compare", first, second)
    assert told.exit_code == 0
    assert told.output.splitlines()[-1] == "differs: cpu.model: old | new"


def test_compare_and_status_count_the_same_launches(tmp_path):
    """A launch that failed after good repetitions is no sample of its point."""

    def table_of(name):
        results = tmp_path / name
        launches = launches_folder(results, "sleepy")
        launches.mkdir(parents=True)
        good = record("1", 1.0, point="a")
        failed = record("2", 9.0, point="a", status="failed", message="later")
        for item in (good, failed):
            write_record(launches, item)
        collect(results, "sleepy")
        return rows_path(results, "sleepy"), [good, failed]

    (first, records), (second, _) = table_of("1"), table_of("2")
    (row,) = compare(first, second)
    state = PointState(None)
    for item in records:
        state.add(item)
    assert row.first == row.second == state.summary == summarize([1.0])


@pytest.mark.parametrize("seconds", ["-97.0", "nan", "0", "1e300", ""])
def test_compare_refuses_times_that_cannot_be(tmp_path, seconds):
    first, second = table(tmp_path / "1", {"a": [0.5]}), table(tmp_path / "2", {"a": [0.5]})
    second.write_text(second.read_text().replace(",0.5,e", f",{seconds},e"))
    result = call("compare", first, second)
    assert result.exit_code == 2
    assert "launch a-0: expected a number above 0 in 'seconds'" in result.stderr


def test_compare_of_what_cannot_be_compared(tmp_path):
    first = table(tmp_path / "1", {"a": [1.0]})
    second = table(tmp_path / "2", {"b": [1.0]})
    result = call("compare", first, second)
    assert result.exit_code == 2
    assert "share no point with status ok" in result.output
    assert call("compare", first, tmp_path).exit_code == 2
    assert call("compare", first, tmp_path / "absent.csv").exit_code == 2
    second.write_bytes(b"\xff")
    assert call("compare", first, second).exit_code == 2
