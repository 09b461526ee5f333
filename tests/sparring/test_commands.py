"""Options of old, mistyped names, and the progress of training."""

from __future__ import annotations

import io
import sys

import pytest
import torch
from click.testing import CliRunner

import sparring
from experiments.virtual.command import main as virtual
from kernels.commands.cli import main as kernels
from sparring.commands import options
from sparring.commands.cli import main
from sparring.commands.progress import training
from sparring.commands.train import train
from sparring.data.registry import NAMES
from sparring.errors import SparringError
from sparring.networks import NETWORKS
from sparring.strategies import STRATEGIES
from sparring.strategies.telemetry import BatchRecord


@pytest.mark.parametrize(
    ("command", "former", "name", "present"),
    [
        (train, "--evaluate", "evaluation_images", "--evaluation-images"),
        (kernels.commands["machines"], "--csv", "path", "--out"),
        (kernels.commands["stages"], "--repetitions", "rounds", "--rounds"),
        (kernels.commands["cachesim"], "--runs", "rounds", "--rounds"),
        (virtual, "--adversary-steps", "adversary_steps", "--steps"),
        (virtual, "--machine", "machine", "--calibration"),
    ],
)
def test_a_former_spelling_still_works_and_no_help_shows_it(command, former, name, present):
    context = command.make_context("it", [former, "7"])
    assert str(context.params[name]) == "7"
    told = command.get_help(context)
    assert present in told
    assert f"{former} " not in told


def test_the_options_know_all_names():
    assert set(options.NETWORKS) == set(NETWORKS)
    assert set(options.DATASETS) == set(NAMES)
    assert set(options.STRATEGIES) == set(STRATEGIES)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["trian"], "train"),
        (["train", "--epoch-s", "1"], "--epochs"),
        (["train", "--network", "stduy"], "did you mean 'study'?"),
        (["train", "--dataset", "mnsit"], "did you mean 'mnist'?"),
        (["train", "--strategy", "data-parallel"], "did you mean 'data_parallel'?"),
        (["train", "--strategy", "sharded", "--option", "overlp=true"], "did you mean 'overlap'?"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_nearest(arguments, meant):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert meant in " ".join(result.output.split())


def test_the_library_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'madry'"):
        sparring.networks.build("mardy", 0)
    with pytest.raises(SparringError, match="did you mean 'mnist-5k'"):
        sparring.data.load("mnist5k")


class Terminal(io.StringIO):
    """What looks like one."""

    def isatty(self):
        return True


def test_training_shows_a_bar_on_a_terminal_only(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    record = BatchRecord(2, 2, 0, ((0, 2),), None, 1.25)
    with training(4, shown=True) as progress:
        progress(record)
    assert "3/4" in sys.stderr.getvalue()
    assert "loss 1.2500" in sys.stderr.getvalue()
    with training(4, shown=False) as progress:
        assert progress is None
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with training(4, shown=True) as progress:
        assert progress is None


def test_progress_is_told_of_every_update():
    model, told = sparring.networks.build("study", seed=0), []
    trainer = sparring.Trainer(
        model, torch.optim.SGD(model.parameters(), lr=0.1), sparring.data.load("mnist-5k"),
        sparring.FGSM(epsilon=0.1), batch_size=8, backend="torch",
    )  # fmt: skip
    trainer.fit(updates=2, progress=told.append)
    assert [record.update for record in told] == [0, 1]
