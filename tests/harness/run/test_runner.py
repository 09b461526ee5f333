"""Whole runs with a real mpiexec."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.machine import machine_cores
from harness.tables.table import RANK_COLUMNS, details_path, ranks_path, read_cells
from tests.harness.studies import (
    SLEEPY,
    environment,
    harness,
    marked_processes,
    rows_of_table,
    write_study,
)

GOOD = "[parameters]\nmode = 'good'\n"


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def launched(result):
    """How many launches the run's last line tells of."""
    line = next(line for line in result.stdout.splitlines() if " launches run; " in line)
    return int(line.split()[0])


def study_with(tmp_path, text):
    return write_study(tmp_path, text), tmp_path / "results"


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


#: How a launch ends, and what its message tells in any case.
FAULTS = {
    "raises": ("exit code 1", 'ValueError: no "bed", no sleep [/red] \\udc80'),
    "verbose": ("exit code 1", "ValueError: zzz"),
    "exits": ("exit code 3", "\ufffd\ufffd last words"),
    "crashes": ("Segmentation fault", "log: "),
}
GIVEN_UP = "a rank has ended, or failed, and its launcher has not: killed"


def test_faults_become_rows_and_the_study_goes_on(tmp_path):
    text = f"[sweep.product]\nmode = {[*FAULTS, 'good']}\n[parameters]\nprocesses = 2\n"
    study, results = study_with(tmp_path, text + "[measure]\nlaunches = 1\nrepetitions = 3\n")
    result = harness("run", study, "--results", results, cwd=tmp_path)
    assert result.returncode == 1
    assert launched(result) == 5
    assert "5 points: 4 failed, 1 done" in result.stdout
    assert "4 points failed; --retry launches them again" in result.stderr
    assert "Traceback" not in result.stderr
    rows = rows_of_table(results)
    for mode, (how, told) in FAULTS.items():
        *finished, last = [row for row in rows if row["mode"] == mode]
        assert [row["status"] for row in finished] == ["ok", "ok"], "repetitions before are kept"
        assert [row["warmup"] for row in finished] == ["true", "false"]
        assert (last["status"], last["seconds"]) == ("failed", "")
        assert told in last["message"]
        # MPICH's launcher outlives a rank now and then; how that ended is then not known.
        assert how in last["message"] or last["message"].startswith(GIVEN_UP)
        assert len(last["message"]) < 1000
        assert (results / last["message"].rpartition("log: ")[2]).is_file()
        assert last["message"].splitlines()[0] in result.stderr
    assert sum(row["mode"] == "good" and row["status"] == "ok" for row in rows) == 4
    launches = [path.stem for path in results.glob("launches/sleepy/*.json")]
    assert not [p for launch in launches for p in marked_processes(launch)]

    again = harness("run", study, "--results", results, cwd=tmp_path)
    assert (again.returncode, launched(again)) == (1, 0)
    retried = harness(
        "run", study, "--results", results, "--retry", "--index", 1, cwd=tmp_path
    )  # fmt: skip
    assert (retried.returncode, launched(retried)) == (1, 1)
    assert rows_of_table(results)[: len(rows)] == rows
    source = tmp_path / "sleepy.py"
    source.write_text(SLEEPY.replace("self.runs > 2", "self.runs > 99"))
    mended = harness("run", study, "--results", results, cwd=tmp_path)
    assert (mended.returncode, launched(mended)) == (0, 5), "changed code is measured anew"
    newer = rows_of_table(results)
    assert newer[: len(rows)] == rows
    assert len({row["environment"] for row in newer}) == 2


ENDLESS = """
    def endless(self):
        class Endless(Exception):
            told = False
            def __str__(self):
                if self.told:
                    time.sleep(600)
                self.told = True
                return "out of paper"
        raise Endless
"""


# Ranks import their workload when MPI has started.
NOTE_SEGMENTS = """
with open("/proc/self/maps") as maps, open("segments", "a") as noted:
    noted.writelines(line.split(maxsplit=5)[5] for line in maps if "/mpich_shm" in line)
"""


def segments_left(folder):
    """Those of the shared memory that the ranks had of which the system still knows."""
    noted = {Path(line) for line in (folder / "segments").read_text().splitlines()}
    assert noted, "MPICH has such a file for each launch"
    return [path for path in noted if path.exists()]


def impatient_harness(*arguments, cwd):
    """The command line, which looks twice a second, and not every 5 s, whether ranks still live."""
    code = "from harness.launch import process; process._ASK_SECONDS = 0.5; import harness.__main__"
    command = [sys.executable, "-c", f"{code}; harness.__main__.main()", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("mode", "limit", "status", "told"),
    [
        ("hangs", 3, "timeout", "killed at the time limit of 3 s"),
        ("endless", 100, "failed", f"{GIVEN_UP}: rank 1: Endless: out of paper"),
    ],
)  # fmt: skip
def test_what_never_ends_is_killed(tmp_path, mode, limit, status, told):
    """At the limit; but a rank that told why it failed has failed, and is not waited for."""
    study, results = study_with(
        tmp_path,
        f"[parameters]\nmode = '{mode}'\nprocesses = 2\n"
        f"[measure]\nlaunches = 1\nrepetitions = 3\ntime_limit_seconds = {limit}\n",
    )
    (tmp_path / "sleepy.py").write_text(SLEEPY + ENDLESS)
    command = ["run", study, "--results", results]
    result = impatient_harness(*command, cwd=tmp_path)
    assert result.returncode == 1
    last = rows_of_table(results)[-1]
    assert (last["status"], last["seconds"]) == (status, "")
    assert last["message"].startswith(told)
    assert not marked_processes(last["launch"])


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
        assert (result.returncode, launched(result)) == (0, 0)
        assert "1 points: 1 skipped" in result.stdout
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


def start(study, results):
    # What a shell without job control starts in the background ignores SIGINT, and so these tests.
    return subprocess.Popen(
        [sys.executable, "-m", "harness", "run", str(study), "--results", str(results)],
        cwd=study.parent, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


SLOW = """
[parameters]
mode = 'good'
[sweep.product]
processes = [1, 2]
[measure]
launches = 2
warmups = 0
repetitions = 30
"""


def launch_files(results):
    return [p for p in results.glob("launches/sleepy/*-*-*.json") if "session" not in p.name]


def in_flight(results):
    """A launch runs, has finished repetitions, and another one has ended."""
    running = results.glob("launches/sleepy/.running/*/*/repetitions.json")
    return bool(launch_files(results)) and any(running)


def test_runner_killed_in_mid_study(tmp_path):
    study, results = study_with(tmp_path, SLOW)
    other_host = results / "launches" / "sleepy" / ".running" / "other-host" / "p-l"
    other_host.mkdir(parents=True)
    runner = start(study, results)
    assert wait_until(lambda: in_flight(results))
    (stale,) = (other_host.parents[1] / socket.gethostname()).iterdir()
    runner.kill()
    runner.communicate()
    done = len(launch_files(results))
    assert 1 <= done < 4
    assert wait_until(lambda: not marked_processes(stale.name)), "no orphan is left"
    result = harness("run", study, "--results", results, cwd=tmp_path)
    assert (result.returncode, launched(result)) == (0, 4 - done)
    keys = [(row["point"], row["launch"], row["repetition"]) for row in rows_of_table(results)]
    assert len(keys) == len(set(keys)) == 4 * 30
    assert not stale.exists()
    assert other_host.is_dir(), "another host's launches are its own"
    assert not list(results.glob("logs/sleepy/*"))


#: A daemon that has lost its parent and has no environment, before the other one.
DAEMON = """daemon = [sys.executable, "-c", "import time; time.sleep(601)"]
        start = f"import subprocess; subprocess.Popen({daemon}, env={{}}, start_new_session=True)"
        subprocess.run([sys.executable, "-c", start])
        nap = ["""


def test_daemon_of_a_killed_run_is_ended_by_the_next(tmp_path):
    study, results = study_with(
        tmp_path, "[parameters]\nmode = 'hangs'\n[measure]\nlaunches = 1\nrepetitions = 5\n"
    )
    (tmp_path / "sleepy.py").write_text(SLEEPY.replace("nap = [", DAEMON) + NOTE_SEGMENTS)
    runner = start(study, results)
    running = results / "launches" / "sleepy" / ".running" / socket.gethostname()
    assert wait_until(lambda: running.is_dir() and any(running.iterdir()))
    (folder,) = running.iterdir()

    def naps():
        return [p for p in marked_processes(folder.name) if "time.sleep(600)" in p.cmdline()[-1]]

    assert wait_until(naps)
    assert wait_until(lambda: any(folder.glob("adopted:*")))
    (note,) = folder.glob("adopted:*")
    daemon = psutil.Process(int(note.name.split(":")[2]))
    assert daemon.environ() == {}
    runner.kill()
    runner.communicate()
    result = harness(
        "run", study, "--results", results, "--set", "mode=good", cwd=tmp_path
    )  # fmt: skip
    assert result.returncode == 0
    assert not marked_processes(folder.name)
    assert not daemon.is_running() or daemon.status() == psutil.STATUS_ZOMBIE
    assert not segments_left(tmp_path)


@pytest.mark.ranks
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interruption_leaves_what_is_finished_in_the_table(tmp_path, number, code):
    study, results = study_with(tmp_path, SLOW)
    runner = start(study, results)
    assert wait_until(lambda: in_flight(results))
    runner.send_signal(number)
    told, _ = runner.communicate(timeout=60)
    assert runner.returncode == code
    assert "what was finished is in the tables" in told
    assert "Traceback" not in told
    launches = {path.stem.partition("-")[2] for path in launch_files(results)}
    rows = rows_of_table(results)
    assert {row["launch"] for row in rows} == launches
    assert len(rows) == 30 * len(launches)
    assert not list(results.glob("launches/sleepy/.running/*/*"))
    assert not list(results.glob("logs/sleepy/*"))


def test_second_runner_at_once_is_refused(tmp_path):
    study, results = study_with(
        tmp_path, "[parameters]\nmode = 'waits'\n[measure]\nlaunches = 1\nrepetitions = 3\n"
    )
    go = tmp_path / "go"
    waits = f"\n    def waits(self):\n        while not os.path.exists({str(go)!r}):\n"
    (tmp_path / "sleepy.py").write_text(SLEEPY + waits + "            time.sleep(0.01)\n")
    runner = start(study, results)
    assert wait_until(lambda: any(results.glob("launches/sleepy/.running/*/*/repetitions.json")))
    for folder in (results, tmp_path / "other results"):
        second = harness("run", study, "--results", folder, cwd=tmp_path)
        assert second.returncode == 2
        assert "another run measures on this host; expected one at a time" in second.stderr
    go.touch()
    runner.communicate(timeout=60)
    assert runner.returncode == 0
    assert len(rows_of_table(results)) == 4


def test_host_that_has_no_place_for_a_lock_is_told(tmp_path):
    study, results = study_with(tmp_path, GOOD + f"processes = {machine_cores() + 1}\n")
    result = harness("run", study, "--results", results, cwd=tmp_path, HARNESS_LOCKS="/proc/none")
    assert result.returncode == 0
    assert "WARNING: no lock for this host (" in result.stderr
    assert "1 points: 1 skipped" in result.stdout


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("{'seconds': 1}", "the workload's metric 'seconds' has the name of another column"),
        ("{'mode': 1}", "the workload's metric 'mode' has the name of another column"),
        ("{'curve': [1, 2]}", "run() returned a list as 'curve'; expected a number"),
        ("0.5", "run() returned 0.5; expected a dict of metrics"),
        ("os._exit(0)", "exit code 0 after 0 of 2 repetitions, as after os._exit(0): no output"),
    ],
)
def test_metric_that_cannot_be_a_column_fails_clearly(tmp_path, returned, told):
    study, results = study_with(tmp_path, GOOD + "[measure]\nlaunches = 1\n")
    (tmp_path / "sleepy.py").write_text(SLEEPY.replace('{"naps": self.runs}', returned))
    result = harness("run", study, "--results", results, cwd=tmp_path)
    assert result.returncode == 1
    (row,) = rows_of_table(results)
    assert told in row["message"]


STRANGE = """
time.perf_counter = time.monotonic = lambda: -97.0  # nothing takes any time by it

class Strange(Sleepy):
    def run(self):
        return {**super().run(), "read": sys.stdin.read()}

    def details(self):
        return [1] if self.comm.size == 1 else [{"a": self.runs}]
"""


def test_workload_that_returns_what_is_no_row_holds_up_no_other_launch(tmp_path):
    """It also replaces Python's clocks, and reads from a standard input that has nothing."""
    study, results = study_with(
        tmp_path,
        GOOD + "[sweep.product]\nprocesses = [1, 2]\n[measure]\nlaunches = 1\nrepetitions = 2\n",
    )
    (tmp_path / "sleepy.py").write_text(SLEEPY + STRANGE)
    study.write_text(study.read_text().replace("sleepy:Sleepy", "sleepy:Strange"))
    result = harness("run", study, "--results", results, cwd=tmp_path)
    assert result.returncode == 1
    rows = rows_of_table(results)
    (failed,) = (row for row in rows if row["processes"] == "1")
    assert "TypeError: details()[0] is 1; expected a dict of columns; log: " in failed["message"]
    good = [row for row in rows if row["processes"] == "2"]
    assert [(row["status"], row["read"]) for row in good] == [("ok", "")] * 3
    assert all(float(row["seconds"]) >= 0.01 for row in good)
    _, details = read_cells(details_path(results, "sleepy"), ["detail", "a"])
    assert [row["a"] for row in details] == ["1", "2", "3"]


CHECK = """
    @staticmethod
    def check(parameters):
        if parameters["x"] > 1:
            raise ValueError(f"x is {parameters['x']};\\n expected 1")
"""


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (SLEEPY + CHECK, "study.toml:2: the workload refuses: x is 2; expected 1"),
        (SLEEPY.replace("def run", "def go"), "sleepy:Sleepy has no method 'run'; expected one"),
        ("import absent\n" + SLEEPY, "ModuleNotFoundError: No module named 'absent'"),
        (
            "import os; os.write(2, b'\\xff'); os._exit(5)\n" + SLEEPY,
            "the workload refuses: \ufffd (exit code 5 and no answer)",
        ),
        (
            SLEEPY + CHECK.replace("raise ValueError", "sys.exit(0) #"),
            "the workload refuses: it ended the program (sys.exit(0)) when it was imported or in "
            "check(); expected a return, or a ValueError",
        ),
        (
            "import time; time.sleep(600)\n" + SLEEPY,
            "the workload refuses: no answer after 1 s (measure.time_limit_seconds), while it was "
            "imported or in check()",
        ),
    ],
)
def test_workload_that_refuses_leaves_no_table(tmp_path, source, told):
    limit = 1 if source.startswith("import time;") else 60
    text = f"[sweep.product]\nx = [1, 2]\n[measure]\ntime_limit_seconds = {limit}\n"
    study, results = study_with(tmp_path, GOOD + text)
    (tmp_path / "sleepy.py").write_text(source)
    result = harness("run", study, "--results", results, cwd=tmp_path)
    assert result.returncode == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(results.glob("sleepy*"))
    assert not launch_files(results)


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
