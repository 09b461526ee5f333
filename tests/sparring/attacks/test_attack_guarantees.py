"""What ``Attack`` promises, for every attack."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sparring import FGSM, PGD, GradientAscent
from sparring.attacks import KeyedSource
from sparring.networks import StudyCNN, build
from sparring.randomness import ImageStreams

ATTACKS = [
    FGSM(epsilon=0.1),
    GradientAscent(steps=3),
    PGD(steps=3, momentum=0.9),
    PGD(steps=2, random_start=True, restarts=2),
    PGD(epsilon=0.7, step_size=0.3, steps=3, norm="l2", random_start=True, restarts=2),
]
every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=str)
RANDOM = ATTACKS[3:]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Moody(nn.Module):
    """Layers whose behaviour depends on the mode, some frozen, some already in eval mode."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(16, 5)
        self.double().train()
        self.dropout.eval()
        self.head.bias.requires_grad_(False)

    def forward(self, x):
        return self.head(self.dropout(self.norm(self.conv(x))).flatten(1))


@every_attack
def test_inputs_are_untouched_and_the_result_is_new(model, batch, attack):
    x, y = batch
    x.requires_grad_()
    x.grad = torch.ones_like(x)
    before = x.detach().clone(), y.clone(), x._version
    result = attack(model, x, y, generator=seeded())
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    assert x._version == before[2]
    assert x.requires_grad
    assert torch.equal(x.grad, torch.ones_like(x))
    assert not result.requires_grad
    assert result.data_ptr() != x.data_ptr()
    assert not torch.equal(result, x)


@every_attack
def test_parameters_and_modes_come_back(batch, attack):
    model = Moody()
    model.head.weight.grad = torch.ones_like(model.head.weight)
    state = copy.deepcopy(model.state_dict())
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    modes = [module.training for module in model.modules()]
    attack(model, *batch, generator=seeded())
    assert flags == {name: p.requires_grad for name, p in model.named_parameters()}
    assert modes == [module.training for module in model.modules()]
    assert {True, False} <= set(modes)
    assert {True, False} <= set(flags.values())
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == (name != "head.weight")
    assert torch.equal(model.head.weight.grad, torch.ones_like(model.head.weight))
    for name, tensor in model.state_dict().items():  # with the running statistics
        assert torch.equal(tensor, state[name]), name


@every_attack
def test_parameters_and_modes_come_back_from_an_exception(batch, attack):
    model = Moody()
    flags = [p.requires_grad for p in model.parameters()]
    modes = [module.training for module in model.modules()]

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attack(model, *batch, generator=seeded(), on_step=stop)
    assert flags == [p.requires_grad for p in model.parameters()]
    assert modes == [module.training for module in model.modules()]


@every_attack
def test_parameters_are_frozen_and_modes_are_eval_meanwhile(batch, attack):
    model, seen = Moody(), []

    def look(module, args):
        seen.append((module.training, any(p.requires_grad for p in module.parameters())))

    for module in (model, model.norm, model.dropout):
        module.register_forward_pre_hook(look)
    attack(model, *batch, generator=seeded())
    assert seen
    assert set(seen) == {(False, False)}


@every_attack
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_shape_and_device_are_kept(model, batch, attack, dtype):
    x, y = batch
    result = attack(model.to(dtype), x.to(dtype), y, generator=seeded())
    assert (result.dtype, result.shape, result.device) == (dtype, x.shape, x.device)


@every_attack
def test_same_seed_same_result_and_global_generator_untouched(model, batch, attack):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = attack(model, *batch, generator=seeded(7))
    attack(model, *batch)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(attack(model, *batch, generator=seeded(7)), first)


@pytest.mark.parametrize("attack", RANDOM, ids=str)
def test_other_seeds_and_no_seed_give_other_results(model, batch, attack):
    results = [attack(model, *batch, generator=seeded(seed)) for seed in (7, 8)]
    for _ in range(2):
        torch.manual_seed(0)  # must not make them agree
        results.append(attack(model, *batch))
    for i, a in enumerate(results):
        assert not any(torch.equal(a, b) for b in results[:i])


@every_attack
def test_works_without_gradients_and_in_inference_mode(model, batch, attack):
    expected = attack(model, *batch, generator=seeded())
    with torch.no_grad():
        assert torch.equal(attack(model, *batch, generator=seeded()), expected)
    with torch.inference_mode():
        x, y = (tensor.clone() for tensor in batch)
        assert x.is_inference()
        result = attack(model, x, y, generator=seeded())
        assert torch.is_inference_mode_enabled()
    assert torch.equal(result, expected)
    assert not result.is_inference()


def test_model_built_in_inference_mode_is_refused(batch):
    with torch.inference_mode():
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 5)).double()
    with pytest.raises(ValueError, match=r"built outside torch\.inference_mode"):
        FGSM()(model, *batch)


@pytest.mark.parametrize(
    "take",
    [
        lambda layer, tensor: layer.register_buffer("counter", tensor),
        lambda layer, tensor: setattr(layer.weight, "data", tensor),
    ],
)
def test_model_that_takes_numbers_made_in_inference_mode_is_refused(take):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 5))
    x, y = torch.rand(3, 1, 4, 4), torch.tensor([0, 1, 2])
    FGSM()(model, x, y)
    with torch.inference_mode():
        numbers = torch.ones(5, 16)
    take(model[1], numbers)
    with pytest.raises(ValueError, match=r"built outside torch\.inference_mode"):
        FGSM()(model, x, y)


@every_attack
def test_empty_batch_is_no_work(attack):
    def step(number):
        raise AssertionError("no step to take")

    x, y = torch.empty(0, 1, 28, 28), torch.empty(0, dtype=torch.int64)
    result = attack(StudyCNN(), x, y, on_step=step)
    assert result.shape == x.shape
    assert result is not x


@every_attack
@pytest.mark.parametrize("cuts", [[1], [2, 3], [1, 2, 3, 4, 5]])
def test_a_split_batch_gives_the_adversaries_of_the_whole(model, batch, attack, cuts):
    x, y = batch
    images = np.array([11, 3, 8, 100, 0, 7])
    whole = attack(model, x, y, generator=KeyedSource(ImageStreams(1, 2, images)))
    parts = [
        attack(model, x[part], y[part], generator=KeyedSource(ImageStreams(1, 2, images[part])))
        for part in np.split(np.arange(6), cuts)
    ]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-12, atol=1e-12)


@every_attack
def test_steps_are_announced_from_zero(model, batch, attack):
    steps = []
    attack(model, *batch, on_step=steps.append)
    assert steps == list(range(getattr(attack, "steps", 1) * getattr(attack, "restarts", 1)))


def test_newer_weights_are_used_from_the_step_they_arrive(model, batch):
    x, y = batch
    newer = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in newer.parameters():
            parameter.neg_().mul_(1.5)
    settings = {"step_size": 0.5, "bounds": (-5.0, 5.0)}
    halfway = GradientAscent(steps=2, **settings)(model, x, y)
    expected = GradientAscent(steps=3, **settings)(newer, halfway, y)
    stale = GradientAscent(steps=5, **settings)(model, x, y)

    def load(step):
        if step == 2:
            for old, new in zip(model.parameters(), newer.parameters(), strict=True):
                old.copy_(new)

    result = GradientAscent(steps=5, **settings)(model, x, y, on_step=load)
    assert torch.equal(result, expected)
    assert not torch.allclose(result, stale)


@every_attack
def test_the_study_network_is_attacked(attack):
    model = build("study", seed=0)
    x = torch.rand((4, 1, 28, 28), generator=seeded())
    y = model(x).argmax(1)
    x_adv = attack(model, x, y, generator=seeded())
    before = nn.functional.cross_entropy(model(x), y)
    assert nn.functional.cross_entropy(model(x_adv), y) > before


@st.composite
def problems(draw):
    """An attack with a ball, images within its bounds, and labels."""
    low = draw(st.floats(-3, 0))
    high = low + draw(st.floats(0.1, 5))
    epsilon = draw(st.one_of(st.just(0.0), st.floats(1e-4, 3)))
    common = {"epsilon": epsilon, "targeted": draw(st.booleans()), "bounds": (low, high)}
    if draw(st.booleans()):
        attack = FGSM(**common)
    else:
        random_start = draw(st.booleans())
        attack = PGD(
            step_size=draw(st.floats(1e-3, 2)),
            steps=draw(st.integers(1, 4)),
            norm=draw(st.sampled_from(["linf", "l2"])),
            random_start=random_start,
            restarts=draw(st.integers(1, 3)) if random_start else 1,
            momentum=draw(st.sampled_from([0.0, 0.5, 1.0])),
            objective=draw(st.sampled_from(["cross_entropy", "study"])),
            **common,
        )
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    generator = seeded(draw(st.integers(0, 1000)))
    n = draw(st.integers(1, 4))
    x = torch.rand((n, 1, 4, 4), generator=generator, dtype=dtype)
    # Corners of the box too, where rounding could lead outside.
    x = ((x * 1.5 - 0.25).clamp(0, 1) * (high - low) + low).clamp(low, high)
    return attack, x, torch.randint(0, 5, (n,), generator=generator), generator


@given(problems())
def test_results_stay_in_the_ball_and_in_the_bounds(problem):
    attack, x, y, generator = problem
    layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5))
    x_adv = attack(layers.to(x.dtype), x, y, generator=generator)
    low, high = attack.bounds
    assert bool(((x_adv >= low) & (x_adv <= high)).all())
    delta = (x_adv.double() - x.double()).flatten(1)
    order = 2 if getattr(attack, "norm", "linf") == "l2" else float("inf")
    # The sum of a pixel and a step is rounded to the dtype: half a unit in the last place each.
    rounding = 4 * torch.finfo(x.dtype).eps * max(abs(low), abs(high), attack.epsilon) * 4
    assert bool((delta.norm(p=order, dim=1) <= attack.epsilon + rounding).all())


@given(
    st.floats(0.01, 50), st.integers(1, 4), st.floats(-2, 0), st.floats(0.1, 3), st.integers(0, 99)
)
def test_ascent_stays_in_the_bounds(step_size, steps, low, width, seed):
    layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5))
    x = torch.randn((3, 1, 4, 4), generator=seeded(seed))
    attack = GradientAscent(step_size=step_size, steps=steps, bounds=(low, low + width))
    x_adv = attack(layers, x, torch.tensor([0, 1, 2]))
    assert bool(((x_adv >= low) & (x_adv <= low + width)).all())
