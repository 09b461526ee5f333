"""The demonstrations, with real ranks and real kills."""

import json
import sys

import pytest
from click.testing import CliRunner

from experiments.protocol.cli import main
from experiments.protocol.kills import kill_once
from tests import forked

pytestmark = pytest.mark.ranks


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def forks(monkeypatch):
    """Ranks that are asked nothing of a process of their own are forks."""
    monkeypatch.setattr(sys, "executable", forked.executable())


@pytest.mark.usefixtures("forks")
def test_latency_tells_of_both_ways_of_waiting():
    lines = run("latency").splitlines()[1:]
    assert len(lines) == 6
    assert {line.split("  ")[0].strip() for line in lines} == {
        "a header", "a batch of 64", "the weights",
    }  # fmt: skip
    assert sum("test_and_sleep" in line for line in lines) == 3


def test_memory_tells_of_every_rank():
    lines = run("memory", "--updates", 60).splitlines()
    assert lines[-2].split()[1] == "trainer"
    assert lines[-1].split()[1] == "generator"
    assert all(float(size) > 50 for size in lines[-1].split()[2:])  # MiB: torch alone is more


@pytest.mark.alone
@pytest.mark.usefixtures("forks")
def test_fairness_counts_all_batches():
    lines = [line for line in run("fairness").splitlines() if line.startswith(("static", "dyn"))]
    shares = [[int(part) for part in line[22:38].split(",")] for line in lines]
    assert [sum(share) for share in shares] == [100, 100, 100]
    assert shares[0] == [50, 50]
    assert shares[1][0] > shares[1][1] > 0


@pytest.mark.parametrize("strategy", ["pipeline", "data_parallel"])
def test_a_kill_is_told_of_and_leaves_a_whole_checkpoint(strategy):
    kill = kill_once(strategy, 2, 1, lambda _, checkpoint: checkpoint.exists())
    assert kill.exit_code != 0
    assert kill.orphans == 0
    assert kill.told.startswith("rank 1 was killed in ")
    assert kill.seconds_to_end < 30
    assert int(kill.checkpoint) > 0


@pytest.mark.usefixtures("forks")
def test_timelines_are_drawn(tmp_path):
    out = run("timeline", "--out", tmp_path, "--updates", 3, "--steps", 2)
    assert out.count("wrote") == 6
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")
    again = CliRunner().invoke(main, ["timeline", "--out", str(tmp_path)])
    assert "exists already; name another file" in again.output
    events = json.loads((tmp_path / "timeline_sharded.json").read_text())["traceEvents"]
    assert {event["tid"] for event in events} == {0, 1}
    assert {event["name"] for event in events if event["ph"] == "X"} >= {"generate", "update"}
