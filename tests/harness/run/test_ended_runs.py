"""Runs that are killed or interrupted, and a second one beside a first."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import psutil
import pytest

from harness.machine import machine_cores
from tests.harness.run.runs import GOOD, launch_files, launched, start_runner, study_with
from tests.harness.studies import SLEEPY, harness, marked_processes, rows_of_table, wait_until

# Ranks import their workload when MPI has started.
NOTE_SEGMENTS = """
with open("/proc/self/maps") as maps, open("segments", "a") as noted:
    noted.writelines(line.split(maxsplit=5)[5] for line in maps if "/mpich_shm" in line)
"""


@pytest.fixture
def start():
    """Start a runner, which ends with the test: however it ends, the next ones would wait."""
    runners = []

    def started(study, results):
        runners.append(start_runner(study, results))
        return runners[-1]

    yield started
    for runner in runners:
        if runner.poll() is None:
            runner.terminate()  # it ends its launches
            runner.communicate(timeout=60)


def naps(process):
    """Whether it is the child of a rank; one that ends meanwhile is none."""
    try:
        return process.cmdline()[-1:] == ["import time; time.sleep(600)"]
    except psutil.NoSuchProcess:
        return False


def segments_left(folder):
    """Those of the shared memory that the ranks had of which the system still knows."""
    noted = {Path(line) for line in (folder / "segments").read_text().splitlines()}
    assert noted, "MPICH has such a file for each launch"
    return [path for path in noted if path.exists()]


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


def in_flight(results):
    """A launch runs, has finished repetitions, and another one has ended."""
    running = results.glob("launches/sleepy/.running/*/*/repetitions.jsonl")
    return bool(launch_files(results)) and any(running)


def test_runner_killed_in_mid_study(tmp_path, start):
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


def test_daemon_of_a_killed_run_is_ended_by_the_next(tmp_path, start):
    study, results = study_with(
        tmp_path, "[parameters]\nmode = 'hangs'\n[measure]\nlaunches = 1\nrepetitions = 5\n"
    )
    (tmp_path / "sleepy.py").write_text(SLEEPY.replace("nap = [", DAEMON) + NOTE_SEGMENTS)
    runner = start(study, results)
    running = results / "launches" / "sleepy" / ".running" / socket.gethostname()
    assert wait_until(lambda: running.is_dir() and any(running.iterdir()))
    (folder,) = running.iterdir()

    assert wait_until(lambda: any(map(naps, marked_processes(folder.name))))
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
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_interruption_leaves_what_is_finished_in_the_table(tmp_path, number, code, start):
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


def test_second_runner_at_once_is_refused(tmp_path, start):
    study, results = study_with(
        tmp_path, "[parameters]\nmode = 'waits'\n[measure]\nlaunches = 1\nrepetitions = 3\n"
    )
    go = tmp_path / "go"
    waits = f"\n    def waits(self):\n        while not os.path.exists({str(go)!r}):\n"
    (tmp_path / "sleepy.py").write_text(SLEEPY + waits + "            time.sleep(0.01)\n")
    runner = start(study, results)
    assert wait_until(lambda: any(results.glob("launches/sleepy/.running/*/*/repetitions.jsonl")))
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
    assert result.returncode == 1  # nothing was measured
    assert "WARNING: no lock for this host (" in result.stderr
    assert "1 point: 1 skipped" in result.stdout
