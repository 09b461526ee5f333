"""The library's face on one process: what it takes, what it refuses, what it tells."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import sparring
from sparring.errors import SparringError
from sparring.strategies import Pipeline
from tests.sparring.trainer.training import small_trainer


def test_any_model_optimizer_and_data():
    random = torch.Generator().manual_seed(0)
    images = torch.rand(100, 1, 28, 28, generator=random)
    labels = torch.arange(100) % 10
    pairs = list(zip(images, labels, strict=True))
    losses = []
    for data in ((images.numpy(), labels.numpy()), (images, labels), pairs):
        torch.manual_seed(0)
        history = small_trainer(data).fit(epochs=2)
        losses.append([record.loss for record in history.records])
    assert len(losses[0]) == 2 * 4  # 100 images: three batches of 32 and one of 4
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ((np.zeros((3, 1), np.int64), np.zeros(3, np.int64)), "images must be floating point"),
        ((np.zeros((3, 1)), np.zeros(3)), "labels must be integers"),
        (
            torch.utils.data.TensorDataset(torch.zeros((3, 1), dtype=torch.uint8), torch.arange(3)),
            "images must be floating point, not uint8",
        ),
        (
            torch.utils.data.TensorDataset(torch.zeros(3, 1), torch.tensor([0.7, 1.0, 2.0])),
            "labels must be integers",
        ),
        ([(np.zeros(1), 0.7), (np.zeros(1), 1)], "labels must be integers"),
        ((np.zeros((3, 1)), np.zeros(4, np.int64)), "3 images and 4 labels"),
        (7, "data must be .* not a int"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(data, sentence):
    with pytest.raises(SparringError, match=sentence):
        small_trainer(data)


def test_on_one_process_a_parallel_strategy_falls_back_and_says_so(caplog):
    trainer = small_trainer(strategy=Pipeline())
    assert "falling back to 'sequential'" in caplog.text
    assert len(trainer.fit(updates=2).records) == 2


def test_fit_goes_on_where_it_was():
    trainer = small_trainer()
    trainer.fit(updates=3)
    assert [record.batch for record in trainer.fit(updates=2).records] == [3, 4]


def test_a_timeline_is_a_chrome_trace(tmp_path):
    path = tmp_path / "trace.json"
    small_trainer().fit(updates=2, timeline=path)
    events = json.loads(path.read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert [event["name"] for event in spans] == ["generate", "update"] * 2
    assert [event["args"]["batch"] for event in spans] == [0, 0, 1, 1]
    ends = [event["ts"] + event["dur"] for event in spans]
    assert all(a <= b["ts"] + 1e-3 for a, b in zip(ends, spans[1:], strict=False))


def test_spans_cost_nothing_when_off():
    assert small_trainer().fit(updates=2).log.spans == []


class Unused(nn.Module):
    """A model with a layer that takes no part, between two that do."""

    def __init__(self):
        super().__init__()
        self.first, self.unused, self.last = nn.Linear(784, 8), nn.Linear(3, 3), nn.Linear(8, 10)

    def forward(self, x):
        return self.last(self.first(x.flatten(1)))


@pytest.mark.parametrize("overlap", [False, True])
def test_parameters_that_a_model_does_not_use_have_the_gradient_0(overlap):
    """With overlap, parts that are never told of would never be reduced."""
    model = Unused()
    compute = small_trainer(model=model).compute
    for parameter in model.parameters():  # what a user's own backward pass left
        parameter.grad = torch.ones_like(parameter)
    gradients, told = np.full(compute.gradient_count, np.nan, np.float32), []
    batch = compute.attack(0, slice(None))
    compute.gradients(batch, gradients, told.append if overlap else None)
    images, labels = torch.from_numpy(batch.images), torch.from_numpy(batch.labels)
    model.zero_grad()
    nn.functional.cross_entropy(model(images), labels).backward()
    expected = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    np.testing.assert_allclose(
        gradients, torch.cat([g.flatten() for g in expected]), rtol=1e-4, atol=1e-7
    )
    assert sum(part.stop - part.start for part in told) == (len(gradients) if overlap else 0)


def test_measuring_strength_does_not_change_what_is_trained():
    """In train mode, a look at the loss would count in the statistics and draw dropout's noise."""
    weights = []
    for record_strength in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 10)
        )
        small_trainer(model=model).fit(updates=3, record_strength=record_strength)
        weights.append(torch.cat([t.flatten().double() for t in model.state_dict().values()]))
    assert (weights[0] == weights[1]).all()


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"batch_size": 0}, "batch_size must be an integer from 1, not 0"),
        ({"seed": -1}, "seed must be an integer from 0, not -1"),
        ({"seed": 2**64}, r"seed must be in 0 \.\. 2\*\*64 - 1, not 18446744073709551616"),
        ({"threads": 0}, "threads must be an integer from 1, not 0"),
        ({"strategy": Pipeline}, "strategy must be a name or a strategy, not <class"),
    ],
)
def test_wrong_arguments_are_refused(keywords, sentence):
    arguments = {"batch_size": 32, **keywords}
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = torch.optim.Adam(model.parameters())
    data = (np.zeros((3, 1, 28, 28), np.float32), np.zeros(3, np.int64))
    with pytest.raises(SparringError, match=sentence):
        sparring.Trainer(model, optimizer, data, sparring.FGSM(0.1), **arguments)


@pytest.mark.parametrize("frozen", [False, True])
def test_an_optimizer_that_would_train_nothing_is_refused(frozen):
    model, other = nn.Linear(4, 2), nn.Linear(4, 2)
    model.requires_grad_(not frozen)
    optimizer = torch.optim.SGD((model if frozen else other).parameters(), lr=1)
    data = (np.zeros((3, 4), np.float32), np.zeros(3, np.int64))
    with pytest.raises(SparringError, match="holds no trainable parameter of this model"):
        sparring.Trainer(model, optimizer, data, sparring.FGSM(0.1))


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"updates": -3}, "updates must be an integer from 0, not -3"),
        ({"updates": 2.5}, "updates must be an integer from 0, not 2.5"),
        ({"epochs": -1}, "epochs must be an integer from 0, not -1"),
        ({"updates": 1, "checkpoint_interval": 0}, "checkpoint_interval must be .* from 1, not 0"),
        ({"updates": 1, "checkpoint": "nowhere/a.pt"}, "a.pt: cannot be written: there is no fold"),
        ({"updates": 1, "timeline": "nowhere/a.json"}, "a.json: cannot be written: there is no fo"),
        ({"updates": 1, "timeline": "/"}, "/: is a folder; expected the name of a file"),
    ],
)
def test_what_cannot_be_done_is_refused_before_training(keywords, sentence):
    trainer = small_trainer()
    with pytest.raises(SparringError, match=sentence):
        trainer.fit(**keywords, on_update=lambda record: pytest.fail("trained"))
    assert trainer.updates == 0


def test_accuracy_leaves_every_modules_mode_as_it_was():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784), nn.Linear(784, 10))
    trainer = small_trainer(model=model)
    model[1].eval()
    trainer.accuracy(None, 10)
    assert [module.training for module in model] == [True, False, True]
    with pytest.raises(SparringError, match="images must be an integer from 1, not 0"):
        trainer.accuracy(None, 0)
