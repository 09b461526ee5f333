"""Training that diverges ends with a sentence and keeps no state."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import sparring
from sparring.checkpoint import load
from sparring.commands.cli import main
from sparring.errors import SparringError


def test_a_diverged_loss_stops_with_a_sentence():
    model = sparring.networks.build("study", 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e30)
    data = sparring.data.load("mnist-5k")
    trainer = sparring.Trainer(model, optimizer, data, sparring.FGSM(), batch_size=16)
    with pytest.raises(
        SparringError, match=r"training diverged: the loss of update \d \(batch \d\)"
    ):
        trainer.fit(updates=10)


class LastStep(torch.optim.SGD):
    """An optimizer whose second step leaves weights that are none."""

    def __init__(self, parameters, value):
        super().__init__(parameters, lr=0.01)
        self.value, self.steps = value, 0

    def step(self):
        super().step()
        self.steps += 1
        if self.steps == 2:
            for parameter in self.param_groups[0]["params"]:
                parameter.data.fill_(self.value)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.nan, "training diverged: after 2 updates, the weights are not finite"),
        (1e28, "training diverged: after 2 updates, the loss of the first 16 training images is"),
    ],
)
@pytest.mark.parametrize("interval", [1, 100])
def test_divergence_in_the_last_update_keeps_no_state(value, sentence, interval, tmp_path):
    """The last update's loss was of the weights before it."""
    state, model = tmp_path / "state.pt", sparring.networks.build("study", 0)
    optimizer = LastStep(model.parameters(), value)
    data = sparring.data.load("mnist-5k")
    trainer = sparring.Trainer(model, optimizer, data, sparring.FGSM(), batch_size=16)
    with pytest.raises(SparringError, match=sentence):
        trainer.fit(updates=2, checkpoint=state, checkpoint_interval=interval)
    assert not state.exists() if interval == 100 else load(state).updates == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--learning-rate", "1e30"], "error: training diverged: after 1 updates, the loss"),
        (["--momentum", "nan"], "'--momentum': 'nan' is not a finite number"),
        (["--learning-rate", "inf"], "'--learning-rate': 'inf' is not a finite number"),
        (["--seed", str(2**64)], "'--seed': 18446744073709551616 is not in the range"),
    ],
)
def test_the_command_line_keeps_no_diverged_network(options, sentence, tmp_path):
    state = tmp_path / "state.pt"
    same = ["train", "--updates", "1", "--steps", "1", "--checkpoint", str(state)]
    result = CliRunner().invoke(main, [*same, *options])
    assert result.exit_code == 2
    assert sentence in result.output
    assert not state.exists()
