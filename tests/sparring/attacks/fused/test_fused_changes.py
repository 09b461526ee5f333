"""Weights, layers and hooks that change, before, between and in attacks; whose an engine is."""

from __future__ import annotations

import copy
import gc
import threading
import weakref

import pytest
import torch
from torch import nn

import sparring
from sparring.backends import BackendError
from sparring.fused import engine as engines
from tests.sparring.attacks.fused.attacking import both, change_state, images, pgd
from tests.sparring.compute.fused_training_ranks import SHAPE
from tests.sparring.compute.fused_training_ranks import small as make


def change_in_place(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    nn.functional.cross_entropy(model(images(30, 5)[0]), images(30, 5)[1]).backward()
    optimizer.step()
    optimizer.zero_grad()


def change_one_number(model):
    model[4].weight.data[3, 2, 1, 1] += 5


def change_data(model):
    for parameter in model.parameters():
        parameter.data = parameter.data * 1.5


def change_layer(model):
    model[7] = nn.Linear(8 * 4 * 3, 20)


def change_parameter(model):
    model[9].weight = nn.Parameter(model[9].weight.detach() * 2)


def change_normalisation(model):
    model[0].mean += 0.2


def change_storage(model):
    model[4].weight.data = make(9)[4].weight.data.contiguous(memory_format=torch.channels_last)
    assert not model[4].weight.is_contiguous()


CHANGES = [
    change_in_place, change_one_number, change_data, change_state, change_layer, change_parameter,
    change_normalisation,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changed_weights_are_seen(trained, change):
    model = copy.deepcopy(trained)
    x, y = images(20)
    attack = pgd(norm="l2", epsilon=1.0, step_size=0.2)
    before = attack(model, x, y)
    change(model)
    theirs, mine = both(attack, model, x, y)
    assert (mine - before).abs().max() > 1e-3
    assert ((mine - theirs).abs() > 1e-4).float().mean() < 0.01


def test_a_layout_that_the_kernel_cannot_read_falls_back(trained, caplog):
    model = copy.deepcopy(trained)
    x, y = images(20)
    pgd("auto")(model, x, y)
    change_storage(model)
    assert torch.equal(pgd("auto")(model, x, y), pgd("torch")(model, x, y))
    assert "not a dense contiguous array" in caplog.text


@pytest.mark.parametrize("every", [1, 3, 7])
@pytest.mark.parametrize("settings", [{}, {"momentum": 0.5}, {"random_start": True, "restarts": 2}])
def test_weights_written_in_the_middle_of_an_attack(trained, every, settings):
    x, y = images(33)
    results, steps = {}, {}
    for backend in ("torch", "fused"):
        model = copy.deepcopy(trained)
        target = make(7).state_dict()
        told = steps[backend] = []

        def on_step(step, model=model, target=target, told=told):
            assert not torch.is_grad_enabled()
            told.append(step)
            if step:
                for name, tensor in model.state_dict().items():
                    tensor.lerp_(target[name], 0.3)

        attack = pgd(backend, steps=10, norm="l2", epsilon=1.5, step_size=0.2, **settings)
        generator = torch.Generator().manual_seed(1)
        results[backend] = attack(model, x, y, generator=generator, on_step=on_step, every=every)
    total = 10 * settings.get("restarts", 1)
    assert steps["fused"] == steps["torch"] == list(range(0, total, every))
    off = (results["fused"] - results["torch"]).abs() > 1e-4
    assert off.float().mean() < 0.02
    still = pgd("torch", steps=10, norm="l2", epsilon=1.5, step_size=0.2, **settings)(
        trained, x, y, generator=torch.Generator().manual_seed(1)
    )
    assert ((results["fused"] - still).abs() > 1e-3).float().mean() > 0.3


def test_an_exception_in_on_step_leaves_all_as_it_was(trained):
    model = copy.deepcopy(trained).train()

    def on_step(step):
        if step == 2:
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        pgd(steps=5)(model, *images(20), on_step=on_step)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    assert torch.equal(pgd()(model, *images(20)), pgd()(trained, *images(20)))


def test_a_hook_is_called_again(trained, caplog):
    model = copy.deepcopy(trained)
    x, y = images(20)
    pgd("auto")(model, x, y)
    assert not caplog.records
    calls = []
    handle = model[4].register_forward_hook(lambda *_: calls.append(1))
    pgd("auto")(model, x, y)
    assert len(calls) == 3
    assert len(caplog.records) == 1
    assert "has hooks" in caplog.text
    with pytest.raises(BackendError, match="has hooks"):
        pgd()(model, x, y)
    handle.remove()
    pgd()(model, x, y)
    assert len(calls) == 3


def test_engines_live_as_long_as_their_models(trained):
    model = copy.deepcopy(trained)
    engine = sparring.compile(model, SHAPE)
    assert sparring.compile(model, SHAPE) is engine
    twin = copy.deepcopy(model)
    other = sparring.compile(twin, SHAPE)
    assert other is not engine
    change_state(twin)
    x, _ = images(20)
    torch.testing.assert_close(engine.logits(x), model(x).detach())
    torch.testing.assert_close(sparring.compile(twin, SHAPE).logits(x), twin(x).detach())
    dead = weakref.ref(engine), weakref.ref(model)
    del engine, model
    gc.collect()
    assert [reference() for reference in dead] == [None, None]
    assert sparring.compile(twin, SHAPE) is other


def test_an_engine_goes_with_its_model_at_once(trained):
    model = copy.deepcopy(trained)
    engine = weakref.ref(sparring.compile(model, SHAPE))
    gc.collect()
    gc.disable()
    try:
        del model
        assert engine() is None
    finally:
        gc.enable()


def test_one_model_for_two_image_shapes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 3))
    for shape in ((1, 4, 6), (2, 3, 4), (1, 4, 6)):
        x = torch.rand(5, *shape)
        engine = sparring.compile(model, shape)
        torch.testing.assert_close(engine.logits(x), model(x).detach())
    assert sparring.compile(model, (1, 4, 6)) is engine
    assert sparring.compile(model, (2, 3, 4)) is not engine


def test_two_threads_on_one_model(trained):
    model = copy.deepcopy(trained)
    sparring.compile(model, SHAPE)
    batches = [images(33, seed) for seed in range(2)]
    expected = [pgd(steps=20)(model, *batch) for batch in batches]
    wrong, done = [], []

    def work(number):
        for _ in range(15):
            found = pgd(steps=20)(model, *batches[number])
            done.append(number)
            if not torch.equal(found, expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0] * 15 + [1] * 15
    assert not wrong


def test_a_refresh_while_weights_are_loaded_is_not_lost(trained, monkeypatch):
    """Another thread changes the weights and asks for an attack of its own meanwhile."""
    model = copy.deepcopy(trained)
    engine = sparring.compile(model, SHAPE)
    x, _ = images(16)
    repack = engines.ModelWeights.look

    def slow(self):
        result = repack(self)
        if not changed:
            changed.append(True)
            change_state(model)
            engine.refresh()
        return result

    changed = []
    monkeypatch.setattr(engines.ModelWeights, "look", slow)
    engine.refresh()
    engine.logits(x)
    assert changed
    torch.testing.assert_close(engine.logits(x), model(x).detach())
