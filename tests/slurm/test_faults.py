"""Cancelled, out of time, requeued, killed, resubmitted: nothing that was measured is lost."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from tests.slurm.arrays import MEASURE, Folder, ended, naps, slurm, state, wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("cluster")]

#: A point of two launches: the first is done in a blink, the second waits in its third repetition.
TWO = "[sweep.product]\nwaits = [true]\n[measure]\nlaunches = 2\nrepetitions = 3\n"


@pytest.fixture(scope="module")
def out_of_time(cluster, tmp_path_factory) -> tuple[Folder, dict[str, str]]:
    """Submitted before everything else: Slurm counts time limits in minutes."""
    study = naps(tmp_path_factory.mktemp("time"), TWO)
    site = study.study.parent / "site.toml"
    site.write_text("grace_seconds = 1\nexclusive = false\n")
    return study, study.submit("--time", "1", "--site", site)


def in_flight(study: Folder) -> bool:
    """The first launch is done, and the second one waits."""
    return study.waiting and len(study.launch_files()) == 1


def finish(study: Folder, *arguments: object) -> None:
    """Submit what is missing, let nothing wait, and see that all is done and nothing was lost."""
    before = study.launch_files()
    study.go()
    jobs = study.submit(*arguments)
    assert wait_for(lambda: ended(jobs["collect"]))
    assert set(study.states()) == {"done"}
    assert before.items() <= study.launch_files().items()
    keys = [(row["launch"], row["repetition"]) for row in study.rows()]
    assert len(keys) == len(set(keys))


def statuses(study: Folder) -> list[list[str]]:
    """The column ``status``, launch by launch."""
    launches: dict[str, list[str]] = {}
    for row in study.rows():
        launches.setdefault(row["launch"], []).append(row["status"])
    return list(launches.values())


DONE = ["ok"] * 4


def test_cancelled(out_of_time, tmp_path):
    study = naps(tmp_path, TWO)
    jobs = study.submit()
    assert wait_for(lambda: in_flight(study))
    slurm("scancel", f"{jobs['0']}_0")
    assert wait_for(lambda: ended(jobs["collect"]))
    assert state(f"{jobs['0']}_0").state == "CANCELLED"
    assert study.states() == ["partial"]
    assert statuses(study) == [DONE, ["ok", "ok", "failed"]], "what was finished is kept"
    assert study.rows()[-1]["message"].startswith("interrupted by SIGTERM")
    told = study.status()
    assert f"cancelled: task 0.0 (job {jobs['0']}_0): interrupted by SIGTERM" in told
    assert (study.results / study.rows()[-1]["message"].rpartition("log: ")[2]).is_file()
    finish(study)


@pytest.mark.parametrize("by", ["requeue", "preemption"])
def test_requeued_task_goes_on(tmp_path, by):
    study = naps(tmp_path, TWO)
    jobs = study.submit()
    assert wait_for(lambda: in_flight(study))
    done = study.launch_files()
    if by == "requeue":
        slurm("scontrol", "requeue", f"{jobs['0']}_0")
    else:
        node = state(f"{jobs['0']}_0").nodes
        slurm("sbatch", "--partition=urgent", f"--nodelist={node}", "--exclusive", "--time=1",
              "--output=/dev/null", "--wrap=true")  # fmt: skip
    assert wait_for(lambda: len(study.launch_files()) == 2)
    assert state(f"{jobs['0']}_0").alive
    study.go()
    assert wait_for(lambda: ended(jobs["collect"]), 120)
    assert study.states() == ["done"]
    assert done.items() <= study.launch_files().items()
    assert statuses(study) == [DONE, ["ok", "ok", "failed"], DONE], "the first is not run again"


@pytest.mark.parametrize("victim", ["a rank", "the runner"])
def test_killed(tmp_path, victim):
    study = naps(tmp_path, TWO)
    jobs = study.submit()
    assert wait_for(lambda: in_flight(study))
    number = state(f"{jobs['0']}_0")
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            ours = str(tmp_path) in " ".join(words) and words[1:2] == ["-m"]
            if ours and ("harness.launch.worker" in words) == (victim == "a rank"):
                process.send_signal(signal.SIGKILL)
        except psutil.Error:
            continue
    assert number.alive
    assert wait_for(lambda: ended(jobs["collect"]))
    assert statuses(study) == [DONE, ["ok", "ok", "failed"]]
    if victim == "a rank":
        assert study.states() == ["failed"]
        assert "failed: " in study.status()
        assert "nothing to submit" in study.harness("submit").stdout, "only --retry does"
        finish(study, "--retry")
    else:
        assert study.states() == ["partial"], "its end says nothing about the point"
        assert study.rows()[-1]["message"].startswith("interrupted: job ")
        told = study.status()
        assert f"failed: task 0.0 (job {number.job}): it began and did not tell how it" in told
        finish(study)


def test_node_that_fails(tmp_path):
    """The controller gives the node up and requeues its task, which goes on."""
    study = naps(tmp_path, TWO)
    jobs = study.submit()
    assert wait_for(lambda: in_flight(study))
    node = state(f"{jobs['0']}_0").nodes
    slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        assert wait_for(lambda: len(study.launch_files()) == 2)
        study.go()
        assert wait_for(lambda: ended(jobs["collect"]), 120)
    finally:  # refused where the node has come back by itself
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=False)
    assert study.states() == ["done"]
    assert statuses(study) == [DONE, ["ok", "ok", "failed"], DONE]


def test_failed_points_only_are_resubmitted(tmp_path):
    study = naps(tmp_path, "[sweep.product]\nfails = [false, true]\n" + MEASURE)
    jobs = study.submit("--by", "points")
    assert wait_for(lambda: ended(jobs["collect"]))
    assert study.states() == ["done", "failed"]
    assert "not mended yet" in study.status()
    (tmp_path / "mended").touch()
    dry = study.harness("submit", "--retry", "--dry-run").stdout
    assert "1 tasks" in dry
    finish(study, "--retry")
    assert [row["status"] for row in study.rows() if row["fails"] == "false"] == ["ok"] * 3


def test_collectors_at_once_lose_nothing(tmp_path):
    study = naps(tmp_path, f"[sweep.product]\nx = {list(range(6))}\n" + MEASURE)
    jobs = study.submit("--by", "points", "--pack", 2)
    command = ["-m", "harness", "collect", str(study.study)]
    while not ended(jobs["collect"]):
        collectors = [
            subprocess.Popen(
                [sys.executable, *command, "--results", str(study.results)],
                cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )
            for _ in range(2)
        ]  # fmt: skip
        for collector in collectors:
            _, told = collector.communicate(timeout=60)
            assert (collector.returncode, told) == (0, "")
    keys = [(row["launch"], row["repetition"]) for row in study.rows()]
    assert len(keys) == len(set(keys)) == 6 * 3
    assert study.states() == ["done"] * 6


def test_bad_files_stop_no_collection(tmp_path):
    study = naps(tmp_path, MEASURE)
    jobs = study.submit()
    assert wait_for(lambda: ended(jobs["collect"]))
    launches = study.results / "launches" / "naps"
    (launches / "p0-x.json").write_text("{")
    torn = launches / ".running" / "slurm-999999" / "p-l"
    torn.mkdir(parents=True)
    (torn / "launch.json").write_text("{")
    bad = study.results / "submissions" / "naps" / "bad"
    bad.mkdir()
    (bad / "manifest.json").write_text("[]")
    assert study.harness("collect").returncode == 0
    assert "1 completed" in study.status()
    assert len(study.rows()) == 3
    assert torn.is_dir(), "what nobody understands is left alone"


def test_time_limit(out_of_time):
    """The last test of the file: by now most of the minute is over."""
    study, jobs = out_of_time
    assert wait_for(lambda: ended(jobs["collect"]), 180)
    assert study.states() == ["failed"]
    assert statuses(study) == [DONE, ["ok", "ok", "timeout"]]
    assert "killed at the time limit of the job" in study.rows()[-1]["message"]
    assert "timeout: " in study.status()
    finish(study, "--retry")
