"""Training where the kernels read the weights: as with PyTorch's own parameters, seen or unseen."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

import sparring
from sparring.attacks import PGD
from sparring.compute import fused as fused_compute
from sparring.compute.flat_optimizer import elementwise
from tests.mpi import run_ranks
from tests.sparring.compute.fused_training_ranks import arrays, weights_of
from tests.sparring.compute.fused_training_ranks import small as make

PROGRAM = str(Path(__file__).with_name("in_place_ranks.py"))
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(
        p, lr=0.05, momentum=0.5, dampening=0.1, weight_decay=0.01
    ),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, foreach=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01, initial_accumulator_value=0.1),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
}


@pytest.fixture(autouse=True)
def open_backend(monkeypatch):
    """The backend is the compute's own choice."""
    monkeypatch.delenv("SPARRING_BACKEND", raising=False)


def trainer(optimizer, model=None, attack_backend="fused", **settings):
    model = model or make()
    attack = PGD(
        epsilon=0.2, step_size=0.3, steps=4, norm="l2", random_start=True, backend=attack_backend
    )
    return sparring.Trainer(
        model, OPTIMIZERS[optimizer](model.parameters()), arrays(50), attack, batch_size=20,
        backend="fused", **settings,
    )  # fmt: skip


def weights(one):
    return torch.cat([p.detach().reshape(-1) for p in one.model.parameters()]).clone()


def state(one):
    return {
        (number, name): value.clone() if isinstance(value, torch.Tensor) else value
        for number, values in one.optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def off(mine, theirs, begun):
    """The difference over what training changed."""
    return float((mine - theirs).abs().max() / (theirs - begun).abs().max())


@pytest.fixture
def plain(monkeypatch):
    """Makes training take PyTorch's parameters."""

    def switch():
        monkeypatch.setattr(fused_compute.Place, "of", lambda *_: None)

    return switch


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimizer_in_place_is_the_users_own(optimizer, plain):
    mine = trainer(optimizer)
    begun = weights(mine)
    mine.fit(updates=3)
    mine.fit(updates=3)  # takes over what the first left
    plain()
    theirs = trainer(optimizer)
    theirs.fit(updates=6)
    assert off(weights(mine), weights(theirs), begun) < 1e-4
    found, wanted = state(mine), state(theirs)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-6)
    assert elementwise(mine.optimizer)


def test_whoever_looks_sees_the_weights_and_may_change_them(plain):
    def look(one, seen):
        def on_update(record):
            seen.append((weights(one), state(one)))
            if record.update == 1:
                with torch.no_grad():
                    one.model[1].weight.mul_(0.5)
            if record.update == 2:
                for group in one.optimizer.param_groups:
                    group["lr"] = 0.02
            if record.update == 3:
                for values in one.optimizer.state.values():
                    values["momentum_buffer"].zero_()

        one.fit(updates=6, on_update=on_update)

    mine, seen, told = trainer("momentum"), [], []
    begun = weights(mine)
    look(mine, seen)
    plain()
    theirs = trainer("momentum")
    look(theirs, told)
    for (found, past), (wanted, their_past) in zip(seen, told, strict=True):
        assert off(found, wanted, begun) < 1e-4
        assert past.keys() == their_past.keys()
        for key, value in their_past.items():
            torch.testing.assert_close(past[key], value, rtol=1e-3, atol=1e-6)


def test_looking_changes_nothing():
    unseen, seen = trainer("adam"), trainer("adam")
    unseen.fit(updates=4)
    seen.fit(updates=4, on_update=lambda record: None)
    assert torch.equal(weights(unseen), weights(seen))


def test_an_attack_on_pytorch_sees_weights_that_are_trained_in_place(plain):
    mine = trainer("momentum", attack_backend="torch")
    begun = weights(mine)
    mine.fit(updates=4)
    plain()
    theirs = trainer("momentum", attack_backend="torch")
    theirs.fit(updates=4)
    assert off(weights(mine), weights(theirs), begun) < 1e-4


def test_frozen_parameters_groups_and_schedules(plain):
    def train():
        model = make()
        model[4].weight.requires_grad_(False)
        groups = [
            {"params": [model[1].weight, model[-1].bias], "lr": 0.02},
            {"params": [model[1].bias, model[4].weight, model[4].bias, model[-1].weight]},
        ]
        optimizer = torch.optim.Adam(groups, lr=0.01)
        one = sparring.Trainer(
            model, optimizer, arrays(50), PGD(epsilon=0.1, steps=2, step_size=0.05), batch_size=20,
            backend="fused", learning_rate=lambda update: 1.0 / (1 + update),
        )  # fmt: skip
        begun = weights(one)
        one.fit(updates=4)
        return weights(one), begun, state(one)

    mine, begun, found = train()
    plain()
    theirs, _, wanted = train()
    assert off(mine, theirs, begun) < 1e-3
    assert found.keys() == wanted.keys()


def test_a_resumed_run_ends_where_the_whole_one_does(tmp_path):
    whole = trainer("adam")
    whole.fit(updates=6)
    first = trainer("adam")
    first.fit(updates=3, checkpoint=tmp_path / "run.pt")
    second = trainer("adam", model=copy.deepcopy(make()))
    second.fit(updates=6, checkpoint=tmp_path / "run.pt", resume=True)
    assert torch.equal(weights(whole), weights(second))
    first, second = state(whole), state(second)
    assert all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("kind", ["pre", "post"])
def test_hooks_see_every_step(kind, plain):
    calls = []
    one = trainer("momentum")
    register = getattr(one.optimizer, f"register_step_{kind}_hook")
    register(lambda *_: calls.append(weights(one)))
    assert not elementwise(one.optimizer)
    one.fit(updates=3)
    assert len(calls) == 3
    late, heard = trainer("momentum"), []

    def on_update(record):
        if record.update == 0:
            getattr(late.optimizer, f"register_step_{kind}_hook")(lambda *_: heard.append(1))

    begun = weights(late)
    late.fit(updates=3, on_update=on_update)
    assert len(heard) == 2
    assert off(weights(late), weights(one), begun) < 1e-4


def test_a_model_that_gets_a_hook_on_the_way_is_computed_by_pytorch(plain):
    def train():
        one, calls = trainer("momentum", attack_backend="auto"), []
        begun = weights(one)

        def on_update(record):
            if record.update == 0:
                one.model[4].register_forward_hook(lambda *_: calls.append(1))

        one.fit(updates=3, on_update=on_update)
        assert calls
        return weights(one), begun

    mine, begun = train()
    plain()
    assert off(mine, train()[0], begun) < 1e-3


def test_which_optimizers_are_elementwise():
    model = make()
    assert all(elementwise(make_one(model.parameters())) for make_one in OPTIMIZERS.values())
    assert not elementwise(torch.optim.Adam(model.parameters(), eps=0.0))
    assert not elementwise(torch.optim.LBFGS(model.parameters()))

    class Own(torch.optim.SGD):
        pass

    assert not elementwise(Own(model.parameters(), lr=0.1))
    scheduled = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.optim.lr_scheduler.StepLR(scheduled, 1)
    assert elementwise(scheduled)
    scheduled.step = lambda: None
    assert not elementwise(scheduled)


@pytest.mark.parametrize("processes", [2, 3])
def test_ranks_of_a_node_train_one_copy_of_the_weights(processes, tmp_path, plain):
    run_ranks(processes, [PROGRAM, str(tmp_path)])
    found = torch.from_numpy(np.load(tmp_path / "weights.npy"))
    plain()
    alone = trainer("adam", model=make())
    alone = sparring.Trainer(
        alone.model, torch.optim.Adam(alone.model.parameters(), lr=0.01, eps=1e-3), arrays(50),
        alone.attack, batch_size=20, backend="fused",
    )  # fmt: skip
    begun = torch.from_numpy(weights_of(alone.compute))
    alone.fit(updates=6)
    wanted = torch.from_numpy(weights_of(alone.compute))
    # A larger epsilon: what Adam makes of a gradient next to zero is else a matter of rounding.
    assert max(off(weights, wanted, begun) for weights in found) < 1e-3


def test_pythons_own_share_is_measured_beside_the_engine():
    from sparring.modelling.calibration.compute import build_compute, own_share

    compute = build_compute("study", "fused", "float32", 4)
    with compute.in_place(lambda key: [key]):
        assert min(own_share(compute, rounds=5)) > 0
    assert "attack" not in vars(compute.engine)
