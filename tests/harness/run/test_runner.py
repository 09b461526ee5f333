"""Whole runs with a real mpiexec."""

from __future__ import annotations

import json
import os
import socket

from harness.machine import machine_cores
from harness.tables.table import RANK_COLUMNS, ranks_path, read_cells
from tests.harness.run.runs import GOOD, launch_files, launched, study_with
from tests.harness.studies import SLEEPY, harness, rows_of_table, write_study


def test_a_study_and_again(tmp_path):
    """Spaces in paths, a results folder behind a symbolic link, another current folder."""
    folder = tmp_path / "my studies"
    study = write_study(folder, GOOD + (
        'note = "a, b\\nc [/x] :smile:"\nrate = 1e-3\n'
        "[sweep.product]\nprocesses = [1, 2]\n[measure]\nlaunches = 2\nrepetitions = 2\n"
    ))  # fmt: skip
    (tmp_path / "real results").mkdir()
    results = tmp_path / "results"
    results.symlink_to("real results")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    first = harness("run", study, "--results", results, cwd=elsewhere)
    assert (first.returncode, launched(first)) == (0, 4)
    assert "2 points: 2 done" in first.stdout
    rows = rows_of_table(results)
    assert len(rows) == 2 * 2 * 3
    assert {row["status"] for row in rows} == {"ok"}
    assert {(row["note"], row["rate"]) for row in rows} == {("a, b\nc [/x] :smile:", "0.001")}
    assert [row["order"] for row in rows] == sorted(row["order"] for row in rows)
    assert {row["order"] for row in rows} == {"0", "1", "2", "3"}
    assert all(float(row["seconds"]) >= 0.01 for row in rows)
    points = [row["point"] for row in rows[::3]]
    assert len(set(points[:2])) == len(set(points[2:])) == 2, "points are interleaved"
    _, ranks = read_cells(ranks_path(results, "sleepy"), RANK_COLUMNS)
    assert len(ranks) == 2 * 3 * 1 + 2 * 3 * 2
    if machine_cores() >= 2:
        bound = {rank["cpus"] for rank in ranks}
        assert len(bound) == 2
        assert all(cpus.isdecimal() for cpus in bound)
    assert not list(results.glob("logs/sleepy/*"))
    assert not list(results.glob("launches/sleepy/.running/*/*"))
    assert not list(elsewhere.iterdir())

    before = {path: path.read_bytes() for path in results.glob("sleepy.*")}
    assert len(before) == 7  # three tables with their schemas, and the environments
    second = harness("run", study, "--results", results, cwd=elsewhere)
    assert (second.returncode, launched(second)) == (0, 0)
    assert before == {path: path.read_bytes() for path in results.glob("sleepy.*")}


def test_retry_of_a_launch_that_failed_by_chance(tmp_path):
    study, results = study_with(
        tmp_path, "[parameters]\nmode = 'once'\n[measure]\nlaunches = 2\nrepetitions = 2\n"
    )
    flag = tmp_path / "failed before"
    once = f"\n    def once(self):\n        if not os.path.exists({str(flag)!r}):\n"
    once += f"            open({str(flag)!r}, 'w').close()\n            raise ValueError('once')\n"
    (tmp_path / "sleepy.py").write_text(SLEEPY + once)
    first = harness("run", study, "--results", results, cwd=tmp_path)
    assert (first.returncode, launched(first)) == (1, 1)
    second = harness("run", study, "--results", results, cwd=tmp_path)
    assert (second.returncode, launched(second)) == (1, 0)
    third = harness("run", study, "--results", results, "--retry", cwd=tmp_path)
    assert (third.returncode, launched(third)) == (0, 2)
    assert [row["status"] for row in rows_of_table(results)].count("failed") == 1


def test_only_one_point_by_its_index(tmp_path):
    study, results = study_with(
        tmp_path, GOOD + "[sweep.product]\nx = [1, 2]\n[measure]\nlaunches = 1\nwarmups = 0\n"
    )
    result = harness("run", study, "--results", results, "--index", 1, cwd=tmp_path)
    assert (result.returncode, launched(result)) == (0, 1)
    assert "1 missing, 1 done" in result.stdout
    assert [row["x"] for row in rows_of_table(results)] == ["2"]
    for index in (2, -1):
        result = harness("run", study, "--results", results, "--index", index, cwd=tmp_path)
        assert result.returncode == 2
        assert f"--index {index}: there is no such point; expected 0 to 1" in result.stderr


def test_too_many_cores_are_skipped_once_and_oversubscribed_on_demand(tmp_path):
    study, results = study_with(
        tmp_path, GOOD + f"processes = {machine_cores() + 1}\n[measure]\nlaunches = 1\n"
    )
    for _ in range(2):
        result = harness("run", study, "--results", results, cwd=tmp_path)
        assert (result.returncode, launched(result)) == (1, 0)
        assert "nothing was measured: this machine can hold no point" in result.stderr
        assert "1 point: 1 skipped" in result.stdout
        assert f"skipped: 1 point: needs {machine_cores() + 1} cores and" in result.stdout
        (row,) = rows_of_table(results)
        assert (row["status"], row["source"], row["seconds"]) == ("skipped", "oversubscribed", "")
        assert row["message"].startswith(f"needs {machine_cores() + 1} cores and this machine has")
    # As inside another run that binds its one rank.
    result = harness(
        "run", study, "--results", results, "--oversubscribe", cwd=tmp_path,
        HARNESS_BINDING="0", HARNESS_LAUNCH="outer",
    )  # fmt: skip
    assert (result.returncode, launched(result)) == (0, 1)
    rows = rows_of_table(results)
    assert [row["status"] for row in rows] == ["skipped", "ok", "ok"]
    assert {row["source"] for row in rows} == {"oversubscribed"}
    _, ranks = read_cells(ranks_path(results, "sleepy"), RANK_COLUMNS)
    assert {rank["cpus"] for rank in ranks} == {" ".join(map(str, sorted(os.sched_getaffinity(0))))}


def test_files_of_the_current_folder_are_no_modules_of_python(tmp_path):
    """Neither for the harness nor for a workload and what it imports; its own modules are found."""
    study, results = study_with(tmp_path / "study", GOOD + "[measure]\nlaunches = 1\n")
    (study.parent / "sleepy.py").write_text("import wave, bed\n" + SLEEPY)
    (tmp_path / "bed.py").write_text("")
    names = ("csv", "json", "logging", "signal", "statistics", "tempfile", "wave")
    for name in names:
        (tmp_path / f"{name}.py").write_text("raise ImportError('hidden')")
    result = harness("run", study, "--results", results, cwd=tmp_path)
    assert (result.returncode, launched(result)) == (0, 1), result.stderr


def test_table_that_is_none_is_told_before_anything_is_launched(tmp_path):
    study, results = study_with(tmp_path, GOOD)
    results.mkdir()
    table = results / "sleepy.csv"
    table.write_text("a,b\n1,2\n")
    result = harness("run", study, "--results", results, cwd=tmp_path)
    assert result.returncode == 2
    assert "sleepy.csv:1: the header lacks the column 'schema_version'" in result.stderr
    assert not launch_files(results)
    assert table.read_text() == "a,b\n1,2\n"


def test_precision_budget_and_their_record(tmp_path):
    """No interval is narrow enough, and the budget is spent as soon as launches are asked for."""
    measure = "[measure]\nlaunches = 1\nmax_launches = 3\nprecision = 1e-9\nwarmups = 0\n"
    study, results = study_with(tmp_path, GOOD + measure + "budget_seconds = 0.001\n")

    def run_with(budget):
        setting = f"measure.budget_seconds={budget}"
        result = harness("run", study, "--results", results, "--set", setting, cwd=tmp_path)
        assert result.returncode == 0
        (point,) = read_cells(results / "sleepy.points.csv", ["stopped_by"])[1]
        return launched(result), point["stopped_by"], point["launches_ok"]

    assert run_with(0.001) == (1, "budget", "1")
    assert run_with(0.001) == (0, "budget", "1")
    assert run_with(3600) == (2, "launches", "3"), "a larger budget is used"


def test_provenance_is_kept_for_each_session(tmp_path):
    study, results = study_with(tmp_path, GOOD + "[measure]\nlaunches = 1\n")
    harness("run", study, "--results", results, cwd=tmp_path, OMP_PROC_BIND="true")
    known = json.loads((results / "sleepy.environment.json").read_text())
    (row, _) = rows_of_table(results)
    (session,) = known[row["environment"]]["sessions"]
    assert session["variables"]["OMP_PROC_BIND"] == "true"
    assert session["host"] == socket.gethostname()
    assert session["packages"]["mpi4py"] == known[row["environment"]]["fingerprint"]["packages"][
        "mpi4py"
    ]  # fmt: skip


def test_whatever_is_launched_has_its_baseline_beside_it(tmp_path):
    study, results = study_with(tmp_path, GOOD + (
        "[sweep.product]\nkind = ['base', 'other']\n"
        "[measure]\nlaunches = 2\nwarmups = 0\nbaseline = { kind = 'base' }\n"
    ))  # fmt: skip
    alone = harness("run", study, "--results", results, "--index", 0, cwd=tmp_path)
    assert (alone.returncode, launched(alone)) == (0, 2)
    told = harness("run", study, "--results", results, cwd=tmp_path)
    assert (told.returncode, launched(told)) == (0, 4)
    rounds = {}
    for row in rows_of_table(results):
        rounds.setdefault(row["launch_round"], []).append(row["kind"])
    assert sorted(sorted(kinds) for kinds in rounds.values()) == [
        ["base"], ["base"], ["base", "other"], ["base", "other"]
    ]  # fmt: skip
    assert "speed-up in pairs" in told.stdout
    (_, other) = read_cells(results / "sleepy.points.csv", ())[1]
    assert other["pairs"] == "2"
    assert float(other["speedup"]) > 0
    assert (other["low_speedup"], other["high_speedup"]) == ("", "")
