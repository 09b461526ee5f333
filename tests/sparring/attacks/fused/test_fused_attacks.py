"""Attacks on the fused engine: the same as on PyTorch, with the same guarantees."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import nn

import sparring
from sparring.attacks import FGSM, PGD, GradientAscent
from sparring.attacks.objectives import cross_entropy
from sparring.backends import BackendError
from sparring.fused import machine
from sparring.networks import Normalize
from tests.sparring.attacks.fused.attacking import ATTACKS, both, images, lines, pgd
from tests.sparring.compute.fused_training_ranks import CLASSES, SHAPE


@pytest.mark.parametrize("name", ATTACKS)
def test_adversaries_are_those_of_pytorch(trained, name):
    attack = ATTACKS[name]
    x, y = images(75)
    if getattr(attack, "targeted", False):
        y = (y + 1) % CLASSES
    theirs, mine = both(attack, trained, x, y)
    # A pixel whose gradient is next to zero may go either way, and others follow.
    assert ((mine - theirs).abs() > 1e-4).float().mean() < 0.01
    with torch.no_grad():
        before, after, wanted = (trained(images) for images in (x, mine, theirs))
    loss = cross_entropy(after, y).mean()
    torch.testing.assert_close(loss, cross_entropy(wanted, y).mean(), rtol=0.01, atol=1e-4)
    hits = ((after.argmax(1) == y) != (wanted.argmax(1) == y)).sum()
    assert hits <= 1
    direction = -1 if getattr(attack, "targeted", False) else 1
    assert direction * (loss - cross_entropy(before, y).mean()) > 0.01


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("surroundings", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_guarantees(trained, name, surroundings):
    attack = type(ATTACKS[name])(**{**vars(ATTACKS[name]), "backend": "fused"})
    model = copy.deepcopy(trained).train()
    model[4].eval()
    model[1].bias.requires_grad_(False)
    modes = [module.training for module in model.modules()]
    flags = [p.requires_grad for p in model.parameters()]
    marks = [torch.full_like(p, i) for i, p in enumerate(model.parameters())]
    for parameter, mark in zip(model.parameters(), marks, strict=True):
        if parameter.requires_grad:
            parameter.grad = mark
    weights = [p.detach().clone() for p in model.parameters()]
    x, y = images(19)
    kept = x.clone(), y.clone()
    state = torch.random.get_rng_state()
    with surroundings():
        x_adv = attack(model, x, y, generator=torch.Generator().manual_seed(3))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(x, kept[0])
    assert torch.equal(y, kept[1])
    assert x_adv.data_ptr() != x.data_ptr()
    assert (x_adv.shape, x_adv.dtype, x_adv.requires_grad) == (x.shape, x.dtype, False)
    assert not x_adv.is_inference()
    assert attack.bounds[0] <= x_adv.min() <= x_adv.max() <= attack.bounds[1]
    delta = (x_adv - x).flatten(1)
    epsilon = getattr(attack, "epsilon", 100)
    size = delta.norm(dim=1).max() if getattr(attack, "norm", "") == "l2" else delta.abs().max()
    assert 0 < size <= epsilon * (1 + 1e-5)
    assert [module.training for module in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == flags
    for parameter, mark, weight in zip(model.parameters(), marks, weights, strict=True):
        assert torch.equal(parameter, weight)
        assert parameter.grad is (mark if parameter.requires_grad else None)


@pytest.mark.parametrize("count", [0, 1, 5, 16, 17, 40])
def test_any_number_of_images_and_any_layout_in_memory(trained, count):
    x, y = images(2 * count)
    expected = pgd()(trained, x[::2].contiguous(), y[::2].contiguous())
    assert torch.equal(pgd()(trained, x[::2], y[::2]), expected)
    assert torch.equal(pgd()(trained, x[::2], y[::2].to(torch.int32)), expected)
    assert torch.equal(pgd()(trained, x[::2], y[::2].to(torch.uint8)), expected)
    last = x[::2].contiguous(memory_format=torch.channels_last)
    assert torch.equal(pgd()(trained, last, y[::2]), expected)
    turned = x[::2].transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(pgd()(trained, turned, y[::2]), expected)
    one = x[:1].expand(count, *SHAPE) if count else x
    assert torch.equal(pgd()(trained, one, y[:count]), pgd()(trained, one.clone(), y[:count]))
    assert torch.equal(pgd()(trained, x[::2].requires_grad_(), y[::2]), expected)


@pytest.mark.parametrize(
    ("attack", "change"),
    [
        (pgd, lambda x, y: (x, y.index_fill(0, torch.tensor([3]), CLASSES))),
        (pgd, lambda x, y: (x, y.index_fill(0, torch.tensor([3]), 2**40))),
        (pgd, lambda x, y: (x, y.index_fill(0, torch.tensor([3]), -1))),
        (pgd, lambda x, y: (x, y.float())),
        (pgd, lambda x, y: (x, y[:-1])),
        (pgd, lambda x, y: (x.index_fill(0, torch.tensor([2]), float("nan")), y)),
        (pgd, lambda x, y: (2 * x, y)),
    ],
)
def test_what_pytorch_refuses_the_engine_refuses_in_the_same_words(trained, attack, change):
    x, y = change(*images(17))
    messages = []
    for backend in ("torch", "fused"):
        with pytest.raises(ValueError, match="must") as info:
            attack(backend)(trained, x, y)
        messages.append(str(info.value))
    assert messages[0] == messages[1]


def test_one_class_is_refused_in_the_same_words():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    x, y = torch.rand(3, 1, 2, 2), torch.zeros(3, dtype=torch.int64)
    for backend in ("torch", "fused"):
        with pytest.raises(
            ValueError, match=r"logits of shape \(3, classes\) with at least 2 .*, 1"
        ):
            pgd(backend)(model, x, y)


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
@pytest.mark.parametrize("backend", ["torch", "fused"])
def test_every_must_be_a_count(trained, backend, every):
    with pytest.raises(ValueError, match="every must be an integer of at least 1"):
        pgd(backend)(trained, *images(2), on_step=print, every=every)


def test_wrong_image_shape(trained, caplog):
    x, y = torch.rand(3, 1, 9, 9), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(BackendError, match="takes 96 inputs and is given 32"):
        pgd()(trained, x, y)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        pgd("auto")(trained, x, y)


@pytest.mark.parametrize("every", [None, 2])
def test_ascent_of_an_image_without_a_usable_gradient(trained, every, caplog):
    """Both backends leave it where it is, say so, and treat the others as ever."""
    x, y = images(40)
    spoilt = x.clone()
    spoilt[7, 0, 3, 3] = float("inf")  # the attack without a ball takes it, and clamps it
    watch = {} if every is None else {"on_step": lambda step: None, "every": every}

    def attack(backend, x):
        ascent = GradientAscent(0.1, 4, "cross_entropy", bounds=(0.0, 1.0), backend=backend)
        return ascent(trained, x, y, **watch)

    clean, found, expected = attack("fused", x), attack("fused", spoilt), attack("torch", spoilt)
    rest = [i for i in range(40) if i != 7]
    assert torch.equal(found[rest], clean[rest])
    torch.testing.assert_close(found[7], expected[7], rtol=1e-4, atol=1e-5)
    assert not torch.equal(found[7], spoilt[7].clamp(0, 1))  # its later steps have a gradient
    told = [line for line in lines(caplog) if "gradients that are not finite (numbers 7)" in line]
    assert len(told) == 2


@pytest.mark.parametrize("backend", ["fused", "torch"])
@pytest.mark.parametrize(
    "attack",
    [
        PGD(0.3, 0.1, 3), PGD(1.0, 0.3, 3, norm="l2"), PGD(0.3, 0.1, 3, momentum=0.9),
        PGD(0.3, 0.1, 3, objective="margin"), PGD(0.3, 0.1, 3, objective="study"), FGSM(0.3),
        GradientAscent(steps=3, bounds=(0.0, 1.0)),
    ],
    ids=str,
)  # fmt: skip
def test_a_network_of_no_numbers_has_adversaries_of_numbers(attack, backend, trained, caplog):
    model = copy.deepcopy(trained)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    x, y = images(5)
    assert torch.equal(dataclasses.replace(attack, backend=backend)(model, x, y), x)
    (line,) = [line for line in lines(caplog) if "not finite" in line]
    assert "5 of 5 images" in line


def test_another_default_dtype(trained):
    x, y = images(20)
    expected = pgd(random_start=True, restarts=2)(
        trained, x, y, generator=torch.Generator().manual_seed(1)
    )
    torch.set_default_dtype(torch.float64)
    try:
        model = copy.deepcopy(trained)
        found = pgd(random_start=True, restarts=2)(
            model, x, y, generator=torch.Generator().manual_seed(1)
        )
        logits = sparring.compile(model, SHAPE).logits(x)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, expected)
    torch.testing.assert_close(logits, trained(x).detach())


@pytest.mark.parametrize(("mean", "std"), [(101325.0, 100.0), (-273.15, 0.3)])
def test_images_far_from_0(mean, std):
    """Pascals and kelvins, say: the engine is made, and computes what PyTorch does."""
    torch.manual_seed(0)
    model = nn.Sequential(
        Normalize(mean, std), nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    )
    x = mean + std * torch.randn(20, 1, 8, 8)
    y = torch.arange(20) % 3
    bounds = (mean - 9 * std, mean + 9 * std)
    attacks = [PGD(0.3 * std, 0.05 * std, 5, bounds=bounds, backend=b) for b in ("fused", "torch")]
    found, expected = (attack(model, x, y) for attack in attacks)
    assert float(((found - expected).abs() > 1e-3 * std).double().mean()) < 0.01
    assert float((found - x).abs().max()) <= 0.301 * std


@pytest.mark.parametrize("name", machine._offered())
def test_an_instruction_set_by_variable(monkeypatch, name):
    monkeypatch.setenv("SPARRING_ISA", name)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 3))
    x, y = torch.rand(20, 1, 4, 6), torch.zeros(20, dtype=torch.int64)
    assert sparring.compile(model, (1, 4, 6)).isa == name
    theirs, mine = both(pgd(norm="l2", epsilon=1.0, step_size=0.2), model, x, y)
    assert (mine - theirs).abs().max() < 1e-5
