"""What the user set stays set: modes, requires_grad, gradients; whoever else uses the model."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

import sparring
from sparring.fused.recognise import recognise
from sparring.modes import mode, trainable, training_modes

IMAGES = torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(16) % 3


def normalised():
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 3))


def modes_of(model):
    return [module.training for module in model.modules()]


def trainer_of(model, parameters=None, **options):
    optimizer = torch.optim.SGD(parameters or model.parameters(), lr=0.1)
    attack = sparring.FGSM(0.1)
    return sparring.Trainer(model, optimizer, (IMAGES, LABELS), attack, batch_size=8, **options)


@pytest.mark.parametrize("outer", [True, False])
def test_calls_that_end_in_another_order_than_they_began_leave_the_users_modes(outer):
    model = normalised()
    model[1].eval()
    model[3].weight.requires_grad_(False)
    calls = [
        (mode(model, training=wanted), trainable(model.parameters(), wanted))
        for wanted in (outer, False, True, False)
    ]
    for entered in calls:
        for context in entered:
            context.__enter__()
    for i in (1, 0, 3, 2):
        for context in calls[i]:
            context.__exit__(None, None, None)
        if i == 1:
            assert not any(modes_of(model))  # as the latest call still wants it
        if i == 3:
            assert all(modes_of(model))
            assert all(p.requires_grad for p in model.parameters())
    assert modes_of(model) == [True, True, False, True, True]
    assert [p.requires_grad for p in model.parameters()] == [True, True, False, True]


def test_a_model_that_four_threads_attack_is_left_in_its_modes():
    class Meeting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers, self.turns, self.order = normalised(), threading.Barrier(4), []

        def forward(self, x):
            self.turns.wait(timeout=20)  # all are inside before any leaves
            assert not self.layers.training
            return self.layers(x)

    model = Meeting()
    model.layers[1].eval()
    before = modes_of(model)
    with ThreadPoolExecutor(4) as pool:
        attack = sparring.PGD(0.1, 0.05, 2, backend="torch")
        for made in [pool.submit(attack, model, IMAGES, LABELS) for _ in range(4)]:
            assert bool(made.result().isfinite().all())
    assert modes_of(model) == before
    assert all(p.requires_grad for p in model.parameters())


def test_a_layer_that_the_user_froze_in_eval_mode_is_left_alone_by_training():
    model = normalised()
    trainer = trainer_of(model)
    model[1].eval()
    model[1].running_mean.fill_(0.25)
    before = modes_of(model)
    trainer.fit(updates=3)
    assert modes_of(model) == before
    assert torch.equal(model[1].running_mean, torch.full((16,), 0.25))
    assert int(model[1].num_batches_tracked) == 0


def test_a_model_in_eval_mode_is_trained_in_train_mode_and_is_in_eval_mode_afterwards():
    model = normalised().eval()
    trainer_of(model).fit(updates=3)
    assert not any(modes_of(model))
    assert int(model[1].num_batches_tracked) == 3


def test_a_model_with_its_own_way_to_train_mode_is_trained_in_it():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = normalised()

        def train(self, mode=True):
            super().train(mode)
            self.layers[1].eval()
            return self

        def forward(self, x):
            return self.layers(x)

    model = Own().eval()
    wanted = training_modes(model)
    assert [wanted[m] for m in model.layers] == [True, False, True, True]
    assert not any(modes_of(model))


@pytest.mark.parametrize("overlap", [False, True])
def test_gradients_are_the_users_own_after_training(overlap):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    model[1].weight.grad = kept = torch.full((8, 16), 7.0)
    trainer = trainer_of(model, model[3].parameters(), backend="torch")
    outside = model[1].weight.clone()
    trainer.fit(updates=2)
    assert model[1].weight.grad is kept
    assert bool((kept == 7.0).all())
    assert [p.grad for p in model.parameters()][1:] == [None, None, None]
    assert torch.equal(outside, model[1].weight)
    if overlap:  # as data_parallel asks for them
        batch = trainer.compute.attack(0, slice(0, 8))
        out = torch.empty(trainer.compute.gradient_count).numpy()
        trainer.compute.gradients(batch, out, lambda part: None)
        assert model[1].weight.grad is kept


def test_a_gradient_that_the_user_left_is_not_applied():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    frozen = nn.Parameter(torch.zeros(3))
    frozen.grad = torch.ones(3)
    trainer_of(model, [*model.parameters(), frozen]).fit(updates=2)
    assert torch.equal(frozen, torch.zeros(3))
    assert torch.equal(frozen.grad, torch.ones(3))


def test_other_threads_may_call_their_models_while_one_is_traced():
    other, answers = normalised().eval(), []
    expected = other(IMAGES)

    class Traced(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(16, 3)

        def forward(self, x):
            def work():
                answers.append(other(IMAGES))
                answers.append(type(other[3].weight))

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            return self.layer(x.flatten(1))

    recognise(Traced(), (1, 4, 4))
    assert len(answers) == 4  # traced in both modes
    assert torch.equal(answers[0], expected)
    assert answers[1] is nn.Parameter
