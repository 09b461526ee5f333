"""Replays of real runs, on MPI ranks: the same weights from the log of arrivals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from sparring.commands.cli import main
from sparring.errors import SparringError
from sparring.strategies.replay import Replay, load_arrivals
from sparring.strategies.telemetry import BatchRecord
from tests.sparring.trainer.training import same_trainer, small_trainer, weights_after, weights_of


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"assignment": "dynamic", "trainer_generates": True, "weights": "window"},
        {"refresh_steps": 1, "refresh_scale": 0.5},
        {"refresh_steps": 1, "trainers": 3},
        {"study_partial_batches": True, "trainers": 2},
    ],
    ids=["study", "generating_trainer", "refreshed", "trainers", "defect"],
)
def test_a_replay_trains_the_same_weights_bit_for_bit(options, tmp_path):
    arrivals = tmp_path / "arrivals.jsonl"
    images = 40 if "study_partial_batches" in options else 0  # batches of 16, 16 and 8
    job = {"strategy": "pipeline", "options": options, "images": images, "fit": {"updates": 12}}
    processes = options.get("trainers", 1) + 2
    trained = weights_after(processes, {**job, "arrivals": str(arrivals)}, tmp_path)
    records = load_arrivals(arrivals)
    assert max(record.staleness for record in records) > 0
    known = {"refresh_steps", "refresh_scale", "trainers", "study_partial_batches"}
    same = {name: value for name, value in options.items() if name in known}
    replay = Replay(records, **same)
    trainer = same_trainer(replay, images=images)
    history = trainer.fit(updates=12)
    assert (weights_of(trainer) == trained).all()
    assert [record.loss for record in history.records] == [record.loss for record in records]


def test_trainers_together_train_what_one_trains(tmp_path):
    """From the same arrival log, in float64, where only the order of sums is another."""
    arrivals = tmp_path / "arrivals.jsonl"
    options = {"trainers": 2, "refresh_steps": 1, "messages": "packed", "receive": "completion"}
    job = {"strategy": "pipeline", "dtype": "float64", "options": options, "fit": {"updates": 10}}
    trained = weights_after(4, {**job, "arrivals": str(arrivals)}, tmp_path)
    records = load_arrivals(arrivals)
    assert {record.generator for record in records} == {2, 3}
    trainer = same_trainer(Replay(records, refresh_steps=1), torch.float64)
    before = weights_of(trainer)
    trainer.fit(updates=10)
    alone = weights_of(trainer)
    assert np.abs(trained - alone).max() < 1e-12
    assert np.abs(alone - before).max() > 1e-3


@pytest.mark.parametrize("trainer_share", [0.0, 1.0])
def test_a_refreshed_overlap_trains_what_its_replay_trains(trainer_share, tmp_path):
    """Shares round otherwise than whole minibatches: nearly the same weights, and ages alike."""
    options = {"overlap": True, "trainer_share": trainer_share, "refresh_steps": 2}
    arrivals = tmp_path / "arrivals.jsonl"
    job = {"strategy": "sharded", "options": options, "fit": {"updates": 9}}
    trained = weights_after(3, {**job, "arrivals": str(arrivals)}, tmp_path)
    found = {}
    for steps in (0, 2):
        trainer = same_trainer(Replay(load_arrivals(arrivals), refresh_steps=steps))
        trainer.fit(updates=9)
        found[steps] = weights_of(trainer)
    moved = np.abs(found[2] - found[0]).max()
    assert np.abs(found[2] - trained).max() < 1e-3 * moved
    assert moved > 0


def test_the_command_line_replays_a_refreshed_run_and_tells_of_a_wrong_one(tmp_path, caplog):
    arrivals = str(tmp_path / "arrivals.jsonl")
    same = ["train", "--updates", "4", "--batch-size", "8", "--steps", "2", "--evaluate", "0",
            "--backend", "torch"]  # fmt: skip
    refresh = ["--option", "refresh_steps=1", "--option", "refresh_scale=2.0"]
    overlapped = ["--strategy", "sharded", "--option", "overlap=true"]
    runs = [
        [*same, *overlapped, *refresh, "--arrivals", arrivals],
        [*same, "--replay", arrivals, *refresh],
    ]
    told = [CliRunner().invoke(main, arguments) for arguments in runs]
    assert [result.exit_code for result in told] == [0, 0], told
    losses = [result.output.partition("loss ")[2].partition(";")[0] for result in told]
    assert losses[0] == losses[1] != ""
    assert not caplog.records
    CliRunner().invoke(main, [*same, "--replay", arrivals])
    assert "was that run another one, or refreshed?" in caplog.text


def test_arrival_logs_that_are_none_are_refused(tmp_path):
    path = tmp_path / "log.jsonl"
    with pytest.raises(SparringError, match=r"log\.jsonl: cannot be read"):
        load_arrivals(path)
    path.write_text('{"update": 0}\n')
    with pytest.raises(SparringError, match=r"log\.jsonl:1: expected the JSON record"):
        load_arrivals(path)
    record = BatchRecord(3, 3, 1, ((0, 3),), None, 1.0)
    with pytest.raises(SparringError, match="must hold updates 0 to 1 in order"):
        small_trainer(strategy=Replay([record])).fit(updates=2)
