"""Checkpoints: trainings that go on, and files that are not overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import sparring
from sparring.checkpoint import load, save
from sparring.errors import SparringError
from tests.sparring.trainer.training import launch, small_trainer, weights_after


@pytest.mark.parametrize(
    ("strategy", "processes"), [("sequential", 1), ("data_parallel", 2), ("sharded", 2)]
)
def test_a_resumed_run_ends_at_the_weights_of_an_uninterrupted_one(strategy, processes, tmp_path):
    whole = weights_after(processes, {"strategy": strategy, "fit": {"updates": 8}}, tmp_path)
    state = str(tmp_path / "state.pt")
    half = {"strategy": strategy, "fit": {"updates": 5, "checkpoint": state}}
    assert launch(processes, half, tmp_path)[0] == 0
    rest = {"strategy": strategy, "fit": {"updates": 8, "checkpoint": state, "resume": True}}
    resumed = weights_after(processes, rest, tmp_path, "resumed.npy")
    assert (resumed == whole).all()
    assert load(Path(state)).updates == 8


class TestCheckpoints:
    def test_one_that_exists_is_not_overwritten_by_forgetting_to_resume(self, tmp_path):
        path = tmp_path / "state.pt"
        trainer = small_trainer()
        trainer.fit(updates=1, checkpoint=path)
        trainer.fit(updates=1, checkpoint=path)  # its own it may
        kept = path.read_bytes()
        with pytest.raises(SparringError, match=r"state\.pt: a checkpoint is there already"):
            small_trainer().fit(updates=1, checkpoint=path)
        assert path.read_bytes() == kept

    def test_a_damaged_one_is_told_of(self, tmp_path):
        path = tmp_path / "state.pt"
        small_trainer().fit(updates=1, checkpoint=path)
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(SparringError, match=r"state\.pt: damaged, or no checkpoint"):
            small_trainer().fit(updates=2, checkpoint=path, resume=True)

    def test_one_of_another_run_is_refused(self, tmp_path):
        path = tmp_path / "state.pt"
        small_trainer().fit(updates=1, checkpoint=path)
        with pytest.raises(SparringError, match="was made with seed = 0, not 1"):
            small_trainer(seed=1).fit(updates=2, checkpoint=path, resume=True)
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        data, optimizer = sparring.data.load("mnist-5k"), torch.optim.SGD(model.parameters(), lr=1)
        trainer = sparring.Trainer(model, optimizer, data, sparring.FGSM(0.1), batch_size=32)
        with pytest.raises(SparringError, match="was made with optimizer = Adam, not SGD"):
            trainer.fit(updates=2, checkpoint=path, resume=True)
        other = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Linear(10, 10))
        with pytest.raises(SparringError, match="does not fit this model"):
            small_trainer(model=other).fit(updates=2, checkpoint=path, resume=True)

    def test_a_failed_write_leaves_the_last_one(self, tmp_path, monkeypatch):
        path = tmp_path / "state.pt"
        small_trainer().fit(updates=1, checkpoint=path)
        kept, state = path.read_bytes(), load(path)

        def half(content, file):
            file.write(b"half of it")
            raise OSError("disk full")

        monkeypatch.setattr(torch, "save", half)
        with pytest.raises(OSError, match="disk full"):
            save(path, state)
        assert path.read_bytes() == kept
        assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]
