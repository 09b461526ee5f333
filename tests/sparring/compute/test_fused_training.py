"""Updates and whole trainings on the fused engine, beside PyTorch's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sparring
from sparring.attacks import PGD, GradientAscent
from sparring.batches import Batches
from sparring.compute.fused import FusedCompute, compute_for
from sparring.compute.interface import Batch
from sparring.compute.pytorch import TorchCompute
from sparring.data.arrays import ArrayImages
from sparring.errors import SparringError
from sparring.strategies.replay import Replay, load_arrivals
from tests.mpi import run_ranks
from tests.sparring.compute.fused_training_ranks import SHAPE, arrays, weights_of
from tests.sparring.compute.fused_training_ranks import small as make

PROGRAM = str(Path(__file__).with_name("fused_training_ranks.py"))

pytestmark = pytest.mark.usefixtures("users_flags")


@pytest.fixture(autouse=True)
def open_backend(monkeypatch):
    """The backend is the compute's own choice."""
    monkeypatch.delenv("SPARRING_BACKEND", raising=False)


def attack(backend):
    return PGD(epsilon=0.2, step_size=0.3, steps=4, norm="l2", random_start=True, backend=backend)


def compute(backend, model=None, batch_size=20, optimizer=None):
    images, labels = arrays(50)
    split = ArrayImages(images, labels)
    return compute_for(
        backend, model or make(), split, Batches(50, batch_size, 3), attack(backend),
        optimizer or (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    )  # fmt: skip


def gradients_of(compute, batch, told=None):
    out = np.full(compute.gradient_count, np.nan, np.float32)
    return compute.gradients(batch, out, None if told is None else told.append), out


def close(mine, theirs):
    return np.abs(mine - theirs).max() < 2e-5 * np.abs(theirs).max()


@pytest.mark.parametrize("method", [
    PGD(epsilon=0.2, step_size=0.05, steps=3, random_start=True),
    PGD(epsilon=1.0, step_size=0.3, steps=3, norm="l2", random_start=True),
    GradientAscent(step_size=0.3, steps=3, bounds=(0.0, 1.0)),
], ids=lambda method: type(method).__name__ + getattr(method, "norm", ""))  # fmt: skip
def test_further_steps_go_on_from_their_start_in_both_backends(method):
    images, labels = (torch.from_numpy(part) for part in arrays(12))
    model, found = make(), {}
    start = torch.clamp(
        images + 0.1 * torch.sin(torch.arange(images.numel())).view_as(images), 0, 1
    )
    kept = start.clone()
    for backend in ("torch", "fused"):
        further = replace(method, backend=backend).further(start, 2, 1.5)
        found[backend] = further(model, images, labels)
    assert torch.equal(start, kept)
    torch.testing.assert_close(found["torch"], found["fused"], rtol=0, atol=1e-5)
    elsewhere = replace(method, backend="fused").further(images, 2, 1.5)(model, images, labels)
    assert (elsewhere - found["fused"]).abs().max() > 0.01


def test_which_compute_serves(caplog, monkeypatch):
    assert type(compute("fused")) is type(compute("auto")) is FusedCompute
    assert (compute("fused").backend, compute("torch").backend) == ("fused", "torch")
    assert type(compute("torch")) is TorchCompute
    monkeypatch.setenv("SPARRING_BACKEND", "torch")
    assert type(compute("auto")) is TorchCompute
    monkeypatch.delenv("SPARRING_BACKEND")
    assert not caplog.records
    assert type(compute("auto", make().double())) is TorchCompute
    assert len(caplog.records) == 1
    with pytest.raises(ValueError, match="float64"):
        compute("fused", make().double())


@pytest.mark.parametrize("part", [slice(0, 20), slice(0, 7), slice(7, 8), slice(3, 20)])
@pytest.mark.parametrize("told", [None, []])
def test_gradients_and_losses_are_those_of_pytorch(part, told):
    mine, theirs = compute("fused"), compute("torch")
    batch = theirs.attack(1, part)
    loss, gradients = gradients_of(mine, batch, told)
    wanted_loss, wanted = gradients_of(theirs, batch, [])
    assert loss == pytest.approx(wanted_loss, rel=1e-5)
    assert close(gradients, wanted)
    assert mine.loss(batch) == pytest.approx(theirs.loss(batch), rel=1e-5)
    assert mine.loss(batch) == pytest.approx(loss * batch.rows / len(batch.labels), rel=1e-5)
    assert mine.gradient_count == theirs.gradient_count


def test_parts_are_told_in_the_same_order_and_hold_their_final_values():
    mine, theirs = compute("fused"), compute("torch")
    batch = theirs.attack(0, slice(None))
    orders = []
    for one in (mine, theirs):
        out = np.full(one.gradient_count, np.nan, np.float32)
        seen = []

        def on_ready(part, out=out, seen=seen):
            seen.append((part, out[part].copy()))

        one.gradients(batch, out, on_ready)
        assert all((out[part] == values).all() for part, values in seen)
        orders.append([part for part, _ in seen])
    assert orders[0] == orders[1]
    assert len(orders[0]) == len(list(make().parameters()))


def test_shares_of_a_minibatch_add_up_also_empty_ones():
    one = compute("fused")
    whole = one.attack(0, slice(None))
    loss, wanted = gradients_of(one, whole)
    shares = [slice(0, 9), slice(9, 9), slice(9, 20)]
    told = []
    parts = [
        gradients_of(
            one, replace(whole, images=whole.images[part], labels=whole.labels[part]), told
        )
        for part in shares
    ]
    assert parts[1][0] == 0
    assert not parts[1][1].any()
    assert sum(part[0] for part in parts) == pytest.approx(loss, rel=1e-6)
    assert close(sum(part[1] for part in parts), wanted)
    assert len(told) == 3 * len(list(make().parameters()))


def test_frozen_parameters_have_no_gradient():
    def freeze():
        model = make()
        for index in (0, 3):
            model[1 + index].weight.requires_grad_(False)
        model[-1].bias.requires_grad_(False)
        return model

    mine, theirs = compute("fused", freeze()), compute("torch", freeze())
    batch = theirs.attack(0, slice(None))
    _, wanted = gradients_of(theirs, batch)
    _, gradients = gradients_of(mine, batch)
    assert (
        mine.gradient_count == theirs.gradient_count < sum(p.numel() for p in make().parameters())
    )
    assert close(gradients, wanted)
    before = [p.clone() for p in mine.model.parameters()]
    mine.apply(gradients)
    after = list(mine.model.parameters())
    assert [torch.equal(*pair) for pair in zip(before, after, strict=True)] == [
        not p.requires_grad for p in after
    ]


def test_gradients_in_the_middle_of_an_attack():
    """A trainer that generates updates in the middle of its own attack."""
    results = {}
    for backend in ("torch", "fused"):
        one = compute(backend)
        ready = one.attack(0, slice(None))
        flags = []

        def on_step(step, one=one, ready=ready, flags=flags):
            flags.append([p.requires_grad for p in one.model.parameters()])
            if step in (1, 3):
                one.apply(gradients_of(one, ready)[1])
                flags.append([p.requires_grad for p in one.model.parameters()])

        made = one.attack(1, slice(None), on_step)
        assert not any(map(any, flags))
        assert all(p.requires_grad for p in one.model.parameters())
        assert all(p.grad is None for p in one.model.parameters())
        results[backend] = made.images, weights_of(one)
        plain = compute(backend).attack(1, slice(None)).images
        assert np.abs(plain - made.images).max() > 1e-3  # the updates were seen
    assert (np.abs(results["fused"][0] - results["torch"][0]) > 1e-4).mean() < 0.02
    assert close(results["fused"][1], results["torch"][1])


def trained(backend, updates=5, **settings):
    model = make()
    trainer = sparring.Trainer(
        model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5), arrays(50),
        attack(backend), batch_size=20, backend=backend, **settings,
    )  # fmt: skip
    assert trainer.compute.backend == backend
    history = trainer.fit(updates=updates)
    return weights_of(trainer.compute), [record.loss for record in history.records]


def test_training_ends_at_pytorchs_weights_and_repeats_itself_bit_for_bit():
    mine, losses = trained("fused")
    again, same = trained("fused")
    assert (mine == again).all()
    assert losses == same
    theirs, wanted = trained("torch")
    np.testing.assert_allclose(losses, wanted, rtol=1e-3)
    begun = trained("torch", updates=0)[0]
    assert np.abs(mine - theirs).max() < 1e-3 * np.abs(theirs - begun).max()


def test_weights_that_are_not_numbers_show_in_the_loss_and_leave_no_trace():
    one = compute("fused")
    batch = one.attack(0, slice(None))
    loss, gradients = gradients_of(one, batch)
    kept = weights_of(one)
    one.model[1].weight.data[0, 0, 1, 1] = float("nan")
    assert np.isnan(one.loss(batch))
    spoilt, found = gradients_of(one, batch)
    assert np.isnan(spoilt)
    assert np.isnan(found).any()
    one.write_weights(kept)
    assert gradients_of(one, batch)[0] == loss
    assert (gradients_of(one, batch)[1] == gradients).all()


def hook(model, calls):
    model[4].register_forward_hook(lambda *_: calls.append(1))


def strides(model, calls):
    weight = model[4].weight
    weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    calls.append(1)


@pytest.mark.parametrize("change", [hook, strides])
def test_a_model_that_changed_behind_the_engine_is_computed_by_pytorch(change):
    one, theirs = compute("fused"), compute("torch")
    batch = theirs.attack(0, slice(None))
    calls = []
    change(one.model, calls)
    told = []
    loss, gradients = gradients_of(one, batch, told)
    wanted_loss, wanted = gradients_of(theirs, batch, [])
    assert (loss, one.loss(batch)) == pytest.approx((wanted_loss, theirs.loss(batch)))
    assert close(gradients, wanted)
    assert calls
    assert len(told) == len(list(make().parameters()))


def test_labels_beyond_the_models_classes_are_refused():
    images, labels = arrays(50)
    for wrong in (labels + 1, labels - 1):
        model = make()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with pytest.raises(SparringError, match="labels must be 0 to 5, the model's classes, not"):
            sparring.Trainer(model, optimizer, (images, wrong), attack("fused"), backend="fused")
    one = compute("fused")
    batch = Batch(0, 2, np.zeros((2, *SHAPE), np.float32), np.array([0, 6]))
    with pytest.raises(ValueError, match="labels must be 0 to 5"):
        gradients_of(one, batch)


def test_the_trainer_refuses_what_the_engine_cannot_serve():
    model = nn.Sequential(nn.Flatten(), nn.Linear(120, 5), nn.Tanh())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(SparringError, match=r"the fused engine cannot serve this model: .*Tanh"):
        sparring.Trainer(model, optimizer, arrays(50), attack("auto"), backend="fused")


def test_ranks_train_what_one_process_trains_and_replays_bit_for_bit(tmp_path):
    arrivals = tmp_path / "arrivals.jsonl"
    alone, losses = trained("fused", updates=4)  # compiled here, found in the cache there
    text = run_ranks(2, [PROGRAM, str(arrivals), str(tmp_path)])
    facts = json.loads(text.split("FACTS", 1)[1].splitlines()[0])
    assert facts["backends"] == ["fused"] * 4
    shared = np.load(tmp_path / "data_parallel.npy")
    begun = trained("fused", updates=0)[0]
    assert np.abs(shared - alone).max() < 1e-3 * np.abs(alone - begun).max()
    np.testing.assert_allclose(facts["losses"], losses, rtol=1e-4)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        replay, _ = trained("fused", updates=9, strategy=Replay(load_arrivals(arrivals)))
    finally:
        torch.set_num_threads(threads)
    assert (replay == np.load(tmp_path / "pipeline.npy")).all()
