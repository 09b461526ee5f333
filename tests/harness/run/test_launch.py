"""How the end of a launch is told."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.launch.process import Outcome
from harness.run import launch as module
from harness.run.launch import Launch


@pytest.mark.parametrize(
    ("living", "told"),
    [
        (["0", "2"], "rank 1 of 3 ended without a word after 0 of 2 repetitions"),
        (["0"], "rank 1, 2 of 3 ended without a word after 0 of 2 repetitions"),
        (["0", "1", "2"], None),
    ],
)
def test_ranks_that_are_gone_are_told_by_their_numbers(tmp_path, monkeypatch, living, told):
    """As after os._exit(0), which no launcher takes for a failure."""
    session = SimpleNamespace(results=tmp_path, study=SimpleNamespace(name="s"))
    measure = SimpleNamespace(warmups=1, repetitions=1)
    point = SimpleNamespace(id="p", processes=3)
    launch = Launch(session, measure, point, SimpleNamespace(launch="l"), tmp_path, False, print)
    launch.running.mkdir(parents=True)
    launch.log.parent.mkdir(parents=True)
    launch.log.touch()
    answers = iter([["0", "1", "2"], living])
    monkeypatch.setattr(module, "living_ranks", lambda pid, word: next(answers))
    assert [launch._lost(1), launch._lost(1)] == [False, told is not None]
    if told:
        outcome = Outcome(-9, timed_out=False, given_up=True)
        assert launch._verdict(outcome).message.startswith(told)
