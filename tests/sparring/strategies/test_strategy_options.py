"""Options that no strategy takes, or not together."""

from __future__ import annotations

import pytest

from sparring.errors import SparringError
from sparring.strategies import STRATEGIES, DataParallel, Pipeline, Sequential, Sharded


@pytest.mark.parametrize(("name", "processes"), [("sequential", 2), ("pipeline", 1)])
def test_a_wrong_number_of_processes_is_refused_in_a_sentence(name, processes):
    with pytest.raises(SparringError, match=f"strategy '{name}' needs .* not {processes}"):
        STRATEGIES[name]().check(processes)


@pytest.mark.parametrize(
    ("strategy", "processes", "rows", "idle"),
    [
        (DataParallel(), 4, 4, 0),
        (DataParallel(), 4, 1, 3),
        (Sharded(), 4, 3, 1),
        (Sharded(trainer_share=0.0), 4, 3, 0),  # rank 0 updates, and attacks nothing
        (Sharded(trainer_share=0.0), 4, 1, 2),
        (Pipeline(), 4, 1, 0),
        (Pipeline(trainers=3), 4, 1, 2),
        (Pipeline(trainers="auto"), 4, 1, 0),
        (Sequential(), 1, 1, 0),
    ],
)
def test_ranks_without_an_image_of_a_minibatch_are_counted(strategy, processes, rows, idle):
    assert strategy.idle(processes, rows) == idle


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="receive_interval must be at least 1, not 0"):
        Pipeline(receive_interval=0)
    with pytest.raises(ValueError, match="trainers must be at least 1, or 'auto', not 0"):
        Pipeline(trainers=0)
    with pytest.raises(ValueError, match="trainers must be an integer or 'auto', not 'all'"):
        Pipeline(trainers="all")
    with pytest.raises(SparringError, match=r"4 processes or more \(3 trainers and a generator\)"):
        Pipeline(trainers=3).check(3)
    assert Sequential().check(1) is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"receive": "completion"}, "receive 'completion' needs messages 'packed'"),
        ({"trainer_generates": True}, "trainer_generates needs assignment 'dynamic'"),
        ({"max_staleness": -1}, "max_staleness must be at least 0"),
        (
            {"max_staleness": 1, "send_interval": 4, "weight_sends": "on_change"},
            "at least every max_staleness . 1 updates",
        ),
        ({"send_interval": 4}, "send_interval 4 updates needs weight_sends 'on_change'"),
        ({"receive_interval": "abc"}, "receive_interval must be an integer, not 'abc'"),
        ({"max_staleness": "2"}, "max_staleness must be an integer"),
        ({"trainer_generates": "maybe"}, "trainer_generates must be true or false"),
        (
            {"max_staleness": 1, "staleness_policy": "drop", "send": "double_buffered"},
            "'drop' needs",
        ),
        ({"staleness_policy": "hope"}, "must be 'wait' or 'drop' or a function, not 'hope'"),
        ({"staleness_policy": max, "max_staleness": 2}, "max_staleness must be None, not 2"),
        ({"staleness_policy": max, "send": "double_buffered"}, "of your own needs send"),
        ({"refresh_steps": -1}, "refresh_steps must be at least 0, not -1"),
        ({"refresh_scale": 0.0}, "refresh_scale must be finite and above 0, not 0"),
        (
            {"refresh_steps": 1, "study_partial_batches": True},
            "refresh_steps contradicts study_partial_batches",
        ),
        ({"weights": "pigeon"}, "weights must be 'messages' or 'window', not 'pigeon'"),
    ],
)
def test_contradicting_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Pipeline(**options)


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        (DataParallel, {"overlap": "maybe"}, "overlap must be true or false, not 'maybe'"),
        (
            DataParallel,
            {"reduction": "x"},
            "reduction must be one of auto, shared_memory, messages",
        ),
        (DataParallel, {"overlap": True, "reduction": "shared_memory"}, "by messages"),
        (Sharded, {"overlap": 1}, "overlap must be true or false, not 1"),
        (
            Sharded,
            {"broadcast": "x"},
            "broadcast must be one of auto, shared_memory, messages, not",
        ),
        (Sharded, {"trainer_share": "abc"}, "trainer_share must be a number, not 'abc'"),
        (Sharded, {"trainer_share": 2}, "trainer_share must be within 0 to 1, not 2"),
        (Sharded, {"refresh_steps": 1}, "refresh_steps needs overlap"),
        (Sharded, {"overlap": True, "refresh_scale": float("inf")}, "must be finite and above 0"),
    ],
)
def test_options_of_a_wrong_type_are_refused(kind, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        kind(**options)
