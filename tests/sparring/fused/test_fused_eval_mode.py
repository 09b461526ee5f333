"""Models that do something else in train mode: the engine's attacks, PyTorch's updates."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import nn

import sparring
from sparring.attacks import PGD
from sparring.backends import BackendError, engine_of
from sparring.errors import SparringError
from sparring.fused import machine
from sparring.fused.layouts import layouts
from tests.sparring.fused.fused_networks import EVAL_NETWORKS
from tests.sparring.fused.fused_references import errors, kernels, sample

ISAS = machine._offered()
SHAPE, CLASSES = (1, 6, 5), 3


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", EVAL_NETWORKS)
def test_kernels_compute_what_float64_does(isa, name):
    compiled = kernels([name], [ISAS[isa]])
    assert len(compiled) == len(layouts(ISAS[isa]))
    for seed in range(2):
        case = sample(name, seed, 64)
        for (_, _, kind), library in compiled.items():
            worst = errors(library, case, (1, 3, 17, 64), 2, updates=False)
            assert max(worst.values()) < 2e-5, (kind, seed, worst)


@pytest.fixture(autouse=True)
def open_backend(monkeypatch):
    """The backend is the attack's own choice."""
    monkeypatch.delenv("SPARRING_BACKEND", raising=False)


def small(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(4 * 4 * 3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(8, CLASSES),
    )  # fmt: skip


def images(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand((count, *SHAPE), generator=generator)
    return x, torch.randint(0, CLASSES, (count,), generator=generator)


def differences(model, **keywords):
    """How many pixels two attacks, the engine's and PyTorch's, see differently."""
    x, y = images(33)
    mine, theirs = (
        PGD(epsilon=0.1, step_size=0.02, steps=4, norm="l2", backend=backend)(
            model, x, y, generator=torch.Generator().manual_seed(1), **keywords
        )
        for backend in ("fused", "torch")
    )
    assert (mine - x).abs().max() > 0.01
    return int(((mine - theirs).abs() > 1e-4).sum())


def _statistics(model):
    model.train()
    model(images(50, 3)[0] * 3)


def _buffer(model):
    model[1].running_var = torch.full((4,), 0.01)


def _state(model):
    other = small(5)
    _statistics(other)
    model.load_state_dict(other.state_dict())


@pytest.mark.parametrize(
    "change",
    [
        _statistics,
        _buffer,
        _state,
        lambda model: model[0].weight.data.mul_(-2),
        lambda model: model[4].bias.data.add_(1),
        lambda model: model[5].weight.data.neg_(),
        lambda model: model[1].bias.data.add_(0.5),
        lambda model: model[5].running_mean.data.sub_(0.3),
    ],
)
def test_an_attack_sees_weights_and_statistics_of_its_moment(change):
    model = small()
    engine = sparring.compile(model, SHAPE)
    x, _ = images(3)
    before = engine.logits(x)
    change(model)
    assert sparring.compile(model, SHAPE) is engine
    with torch.no_grad():
        torch.testing.assert_close(engine.logits(x), model.eval()(x), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(engine.logits(x), before, atol=1e-3)
    model.train()
    statistics = model[1].running_mean.clone()
    assert differences(model) == 0
    assert model.training
    assert torch.equal(model[1].running_mean, statistics)


def test_statistics_may_change_in_the_middle_of_an_attack():
    model = small()

    def newer(step):
        model[1].running_mean.fill_(0.1 * step)
        model[4].weight.data.mul_(1.1 if step else 1)

    start = {name: value.clone() for name, value in model.state_dict().items()}

    def on_step(step):
        if step == 0:
            model.load_state_dict(start)
        newer(step)

    assert differences(model, on_step=on_step, every=2) == 0


@pytest.mark.parametrize("first", [torch.inference_mode, torch.no_grad])
def test_it_does_not_matter_in_which_mode_it_is_attacked_first(first):
    model = small()
    with first():
        assert differences(model) == 0
    _statistics(model)
    assert differences(model) == 0


def test_statistics_that_are_no_numbers_are_seen():
    model = small()
    model[1].running_mean[0] = float("nan")
    assert engine_of("fused", model, SHAPE).logits(images(2)[0]).isnan().all()


def test_the_engine_computes_no_updates_of_it():
    engine = sparring.compile(small(), SHAPE)
    with pytest.raises(SparringError, match=r"computes no updates: the model behaves differently "):
        engine.gradients(*images(2), 1.0, engine.space.zeros())


def trainer(backend, model):
    x, y = (part.numpy() for part in images(40))
    attack = PGD(epsilon=0.1, step_size=0.05, steps=2, backend="auto" if backend else "torch")
    return sparring.Trainer(
        model, torch.optim.SGD(model.parameters(), lr=0.1), (x, y), attack, "sequential",
        batch_size=8, backend=backend or "torch",
    )  # fmt: skip


def test_a_trainer_attacks_with_the_engine_and_updates_with_pytorch(caplog):
    model = small()
    weights = []
    for backend in ("", "auto"):
        model = small()
        made = trainer(backend, model)
        assert made.compute.backend == "torch"
        torch.manual_seed(3)
        made.fit(updates=6)
        weights.append(torch.cat([t.float().flatten() for t in model.state_dict().values()]))
    assert engine_of("auto", model, SHAPE) is not None
    np.testing.assert_allclose(weights[0], weights[1], rtol=0.02, atol=2e-3)
    (told,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert told == (
        "PyTorch computes updates of this Sequential, not the fused engine: the model behaves "
        "differently in train mode: layer 1 (BatchNorm2d) normalises by the minibatch in train mode"
    )


def test_updates_in_the_engine_may_be_insisted_on():
    with pytest.raises(SparringError, match="cannot serve updates of this model: the model behav"):
        trainer("fused", small())
    assert issubclass(BackendError, SparringError)
