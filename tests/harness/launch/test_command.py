"""Any program as a workload: a command line, and patterns for what it prints."""

from __future__ import annotations

import pytest

from harness.errors import UserError
from harness.launch.preflight import check_points
from harness.study.command import argv_of, metrics_in
from harness.study.points import expand
from harness.study.study import load_study
from harness.study.values import Command
from harness.tables.table import read_rows, rows_path
from harness.workload import inspect_workload
from tests.harness.studies import harness

SOLVER = """#!/usr/bin/env python3
import os, sys
size, mode = int(sys.argv[1]), sys.argv[2]
print("rate: 1.5 of a warm-up")
print(f"rate: {size * 2.5}")
print(f"solver took 0.{size} s as {mode} on {len(os.sched_getaffinity(0))} CPUs")
print("to the log", file=sys.stderr)
if mode == "fails":
    sys.exit("cannot go on")
if mode == "endless":
    while True:
        print("y" * 1000)
"""
STUDY = """
name = "solver"
[command]
run = "./solver.py {size} {mode}"
[command.metrics]
rate = 'rate: ([0-9.]+)'
mode_seen = 'as (.*) on'
[parameters]
mode = "two words; $HOME"
[sweep.product]
size = [3, 4]
processes = [1, 2]
[measure]
launches = 1
warmups = 1
repetitions = 2
"""


def study_in(folder, text=STUDY):
    program = folder / "solver.py"
    program.write_text(SOLVER)
    program.chmod(0o755)
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_a_command_is_launched_timed_and_read(tmp_path):
    """From another folder, with a value that no shell sees."""
    study = study_in(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    told = harness("run", study, cwd=elsewhere)
    assert told.returncode == 0, told.stderr
    rows = read_rows(rows_path(elsewhere / "results", "solver"))
    assert len(rows) == 4 * 3
    for row in rows:
        assert (row["status"], row["workload"]) == ("ok", "command")
        assert row["rate"] == row["size"] * 2.5
        assert row["mode_seen"] == "two words; $HOME"
        assert 0 < row["seconds"] < 60
    again = harness("run", study, cwd=elsewhere)
    assert again.stdout.splitlines()[-1].startswith("0 launches run")


def test_seconds_may_be_what_the_program_says(tmp_path):
    text = STUDY.replace("mode_seen = 'as (.*) on'", "seconds = 'took ([0-9.]+) s'")
    told = harness("run", study_in(tmp_path, text), "--set", "processes=1", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    rows = read_rows(rows_path(tmp_path / "results", "solver"))
    assert {(row["size"], row["seconds"]) for row in rows} == {(3, 0.3), (4, 0.4)}


def test_without_a_launcher_the_command_stands_as_it_is(tmp_path):
    text = STUDY.replace("[command]", "[command]\nlauncher = false")
    told = harness("run", study_in(tmp_path, text), "--set", "size=3", cwd=tmp_path)
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["mode=fails"], "the command ended with"),
        (["mode=endless", "measure.time_limit_seconds=3"], "killed at the time limit of 3 s"),
    ],
)
def test_a_command_that_does_not_end_well(tmp_path, settings, expected):
    chosen = [
        word for setting in [*settings, "size=3", "processes=1"] for word in ("--set", setting)
    ]
    told = harness("run", study_in(tmp_path), *chosen, cwd=tmp_path)
    assert told.returncode == 1
    assert expected in told.stderr
    (row,) = read_rows(rows_path(tmp_path / "results", "solver"))
    assert row["status"] in ("failed", "timeout")
    (log,) = (tmp_path / "results" / "logs" / "solver").iterdir()
    assert "rate: 7.5" in log.read_text() or settings[0] == "mode=endless"


def test_output_that_lacks_a_metric_fails_the_launch(tmp_path):
    text = STUDY.replace("rate: (", "speed: (")
    told = harness("run", study_in(tmp_path, text), "--set", "size=3", "--set", "processes=1",
                   cwd=tmp_path)  # fmt: skip
    assert told.returncode == 1
    assert "'rate': the output has nothing like 'speed: ([0-9.]+)'" in told.stderr


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "{size}",
            "{sise}",
            ":4: 'command.run': 'sise' is no parameter; expected one of processes",
        ),
        ("{size}", "{", ":4: 'command.run': '{': "),
        ("{size}", "'", ":4: 'command.run': No closing quotation"),
        ("./solver.py", "./absent", ":4: 'command.run': there is no program './absent' beside"),
        ("./solver.py", "no-such-program", ":4: 'command.run': there is no program 'no-such-pro"),
    ],
)
def test_command_that_cannot_be_started_is_told_before_launching(tmp_path, old, new, expected):
    study = load_study(study_in(tmp_path, STUDY.replace(old, new)))
    with pytest.raises(UserError) as caught:
        check_points(study, expand(study), tmp_path)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[command]", 'workload = "w:W"\n[command]', "'command' and 'workload' are there"),
        ("'rate: (", "'rate: ((", "is no pattern"),
        ("rate =", "launch =", "'launch': expected letters"),
        (
            "run =",
            "shell = true\nrun =",
            "unknown key; expected one of run, launcher, metrics, files",
        ),
    ],
)
def test_table_that_is_no_command_is_told_with_its_line(tmp_path, old, new, expected):
    with pytest.raises(UserError, match=r"study\.toml:\d+: ") as caught:
        load_study(study_in(tmp_path, STUDY.replace(old, new, 1)))
    assert expected in str(caught.value)


def test_code_is_the_command_its_program_and_the_files_it_names(tmp_path):
    study = study_in(
        tmp_path, STUDY.replace("[command.metrics]", "files = ['input']\n[command.metrics]")
    )
    (tmp_path / "input").write_text("a")
    first = inspect_workload(load_study(study))
    assert inspect_workload(load_study(study)) == first
    (tmp_path / "input").write_text("b")
    second = inspect_workload(load_study(study))
    (tmp_path / "solver.py").write_text(SOLVER + "\n")
    third = inspect_workload(load_study(study))
    assert len({first.code, second.code, third.code}) == 3
    (tmp_path / "input").unlink()
    with pytest.raises(UserError, match="no file 'input'"):
        inspect_workload(load_study(study))


def test_a_word_stays_one_word_whatever_its_value_holds():
    command = Command(run="prog --title={title} '{n} items' {n:>3}")
    argv = argv_of(command, {"title": "a b; rm -rf '{n}'", "n": 7})
    assert argv == ["prog", "--title=a b; rm -rf '{n}'", "7 items", "  7"]


def test_the_last_match_counts_and_a_group_is_what_is_read():
    output = "x=1\nx=2e3\nname: a b\n"
    assert metrics_in(output, {"x": "x=(.*)", "name": "^name: .*$"}) == {
        "x": 2000.0,
        "name": "name: a b",
    }
