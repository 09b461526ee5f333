"""Workloads that fail, never end, refuse, or return what is no row."""

from __future__ import annotations

import contextlib

import psutil
import pytest

from harness.tables.table import details_path, read_cells
from tests.harness.run.runs import GIVEN_UP, GOOD, launch_files, launched, study_with
from tests.harness.studies import SLEEPY, harness, marked_processes, rows_of_table

#: How a launch ends, and what its message tells in any case.
FAULTS = {
    "raises": ("exit code 1", 'ValueError: no "bed", no sleep [/red] \\udc80'),
    "verbose": ("exit code 1", "ValueError: zzz"),
    "exits": ("exit code 3", "\ufffd\ufffd last words"),
    "crashes": ("Segmentation fault", "log: "),
}


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


def impatient_harness(*arguments, cwd):
    """The command line, which looks twice a second, and not every 5 s, whether ranks still live."""
    code = "from harness.launch import process; process._ASK_SECONDS = 0.5; import harness.__main__"
    return harness(*arguments, cwd=cwd, start=("-c", f"{code}; harness.__main__.main()"))


@pytest.mark.ranks
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


#: A daemon without parent, session and environment, started by an import; a file tells its number.
DAEMON_OF_AN_IMPORT = """
import os, sys, time

here, own = os.path.dirname(os.path.abspath(__file__)), f"daemon-{os.getpid()}-"
if os.fork() == 0:
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    os.close(os.open(f"{here}/{own}{os.getpid()}", os.O_CREAT))
    os.closerange(0, 64)
    os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"], {})
while not any(name.startswith(own) for name in os.listdir(here)):
    time.sleep(0.01)
"""


def test_a_daemon_that_an_import_starts_is_ended(tmp_path):
    """The process that asks the workload imports it too."""
    study, results = study_with(tmp_path, GOOD + "[measure]\nlaunches = 1\n")
    (tmp_path / "sleepy.py").write_text(DAEMON_OF_AN_IMPORT + SLEEPY)
    result = harness("run", study, "--results", results, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    daemons = [int(path.name.rpartition("-")[2]) for path in tmp_path.glob("daemon-*")]
    assert len(daemons) == 2, "of the question and of the rank"
    assert not [pid for pid in daemons if naps(pid)]


def naps(pid):
    with contextlib.suppress(psutil.Error):
        return "time.sleep(600)" in str(psutil.Process(pid).cmdline())
    return False
