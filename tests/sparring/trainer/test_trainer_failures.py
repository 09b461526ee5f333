"""Ranks that raise, hang, are killed or cannot write: the run ends and says who, where and why."""

from __future__ import annotations

import secrets

import pytest

from harness.launch.launcher import find_launcher
from harness.launch.process import run
from sparring.checkpoint import load
from tests import forked
from tests.sparring.trainer.training import launch


@pytest.mark.parametrize("deed", ["raise", "kill", "hang"])
def test_a_trainer_that_fails_ends_the_run_and_is_named(deed, tmp_path):
    job = {
        "strategy": "pipeline", "options": {"trainers": 2}, "deed": deed, "sinner": 1,
        "after_update": 2, "fit": {"updates": 40, "patience_seconds": 1.5},
    }  # fmt: skip
    code, output = launch(4, job, tmp_path)
    assert code != 0
    if deed == "hang":
        assert "no sign for 1.5 s of the other trainers" in output
        assert "for update 3" in output
    else:
        verb = "failed" if deed == "raise" else "was killed"
        assert f"sparring: rank 1 {verb} in " in output
        assert "as trainer" in output


@pytest.mark.parametrize("strategy", ["data_parallel", "pipeline", "sharded"])
@pytest.mark.parametrize("sinner", [0, 1])
def test_a_rank_that_raises_ends_the_run_and_says_who_where_and_why(strategy, sinner, tmp_path):
    if strategy == "pipeline" and sinner == 0:
        strategy_options = {"assignment": "dynamic", "trainer_generates": True}
    else:
        strategy_options = {}
    state = tmp_path / "state.pt"
    job = {
        "strategy": strategy, "options": strategy_options, "deed": "raise", "sinner": sinner,
        "at": 1 if strategy_options else 3,
        "fit": {"updates": 40, "checkpoint": str(state), "checkpoint_interval": 1},
    }  # fmt: skip
    code, output = launch(2, job, tmp_path)
    assert code != 0
    assert f"sparring: rank {sinner} failed in generate of batch " in output
    assert "RuntimeError: the sky fell" in output
    if state.exists():
        assert load(state).updates >= 1


def test_a_killed_rank_ends_the_run_and_leaves_the_last_checkpoint(tmp_path):
    state = tmp_path / "state.pt"
    job = {
        "strategy": "pipeline", "deed": "kill", "sinner": 1,
        "fit": {"updates": 40, "checkpoint": str(state), "checkpoint_interval": 1},
    }  # fmt: skip
    code, output = launch(2, job, tmp_path)
    assert code != 0
    assert "sparring: rank 1 was killed in generate of batch 2 as generator" in output
    assert 1 <= load(state).updates <= 2


@pytest.mark.parametrize("strategy", ["data_parallel", "pipeline", "sharded"])
def test_a_rank_that_hangs_is_given_up_and_named(strategy, tmp_path):
    job = {
        "strategy": strategy, "deed": "hang", "sinner": 1,
        "fit": {"updates": 40, "patience_seconds": 1.0},
    }  # fmt: skip
    code, output = launch(2, job, tmp_path)
    assert code != 0
    assert "sparring: rank 0 failed in wait of " in output
    missed = output.split("no sign for 1 s of")[1]
    assert "rank 1 is furthest behind, after its batch 1" in missed or "other ranks" in missed
    assert "batch" in missed


def test_rank_0_alone_failing_to_write_at_the_end_ends_all_ranks(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    job = {
        "strategy": "data_parallel", "remove": str(folder),
        "fit": {"updates": 2, "timeline": str(folder / "trace.json")},
    }  # fmt: skip
    code, output = launch(2, job, tmp_path)
    assert code != 0
    assert "sparring: rank 0 could not write what it trained" in output


def test_an_error_on_one_rank_alone_ends_all_of_them(tmp_path):
    """Rank 1 finds no data; rank 0 must not wait for it for ever."""
    program = tmp_path / "one_sided.py"
    program.write_text(
        "import os, sys\n"
        "from sparring.commands.cli import main\n"
        "data = ['--data', 'nowhere'] if os.environ.get('PMI_RANK') == '1' else []\n"
        "sys.argv[1:] = ['train', '--updates', '3', '--strategy', 'data_parallel', *data]\n"
        "main()\n"
    )
    launcher, log = find_launcher(), tmp_path / "log"
    outcome = run(
        launcher.command(2, 1, [*forked.rank_command(), str(program)]),
        launcher.variables(2, 1),
        mark=f"trainer-{tmp_path.name}-{secrets.token_hex(6)}",
        log=log,
        limit_seconds=60,
    )
    assert not outcome.timed_out
    assert outcome.exit_code != 0
    assert "error: " in log.read_text(encoding="utf-8")
