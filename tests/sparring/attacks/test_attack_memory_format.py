"""Channels last in memory: the same adversaries, and the user's model is left as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparring import PGD, networks
from sparring.attacks import memory_format
from sparring.attacks.memory_format import channels_last_pays


class Viewing(nn.Module):
    """Calls ``view`` on a convolution's output, which channels last do not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(2, 3, 3), nn.Linear(3 * 6 * 6, 5)

    def forward(self, x):
        y = self.conv(x)
        return self.linear(y.view(len(y), -1))


@pytest.fixture(autouse=True)
def enabled(monkeypatch):
    monkeypatch.setattr(memory_format, "worth_it", lambda model, x: True)


@pytest.fixture
def residual():
    """What the fused engine refuses: strides, batch normalisation, a branch."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
            self.second, self.last = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 4)

        def forward(self, x):
            x = self.norm(self.first(x)).relu()
            return self.last((x + self.second(x)).mean((2, 3)))

    torch.manual_seed(3)
    return Residual(), (3, 9, 9), 4


@pytest.fixture
def study():
    return networks.build("study", seed=0), (1, 28, 28), 10


def images(shape, classes):
    generator = torch.Generator().manual_seed(4)
    x = torch.rand((5, *shape), generator=generator)
    return x, torch.randint(0, classes, (5,), generator=generator)


@pytest.mark.parametrize("network", ["study", "residual"])
def test_adversaries_are_equal_up_to_rounding(network, request, monkeypatch):
    model, shape, classes = request.getfixturevalue(network)
    x, y = images(shape, classes)
    before = {name: (id(p), p.stride(), p.clone()) for name, p in model.named_parameters()}
    # In L2, whose steps follow the gradient smoothly: a sign may turn over in the last bit.
    attack = PGD(epsilon=1.0, step_size=0.1, steps=5, norm="l2", restarts=2, random_start=True,
                 backend="torch")  # fmt: skip
    assert channels_last_pays(model, x)
    found = attack(model, x, y, generator=torch.Generator().manual_seed(5))
    monkeypatch.setattr(memory_format, "worth_it", lambda model, x: False)
    expected = attack(model, x, y, generator=torch.Generator().manual_seed(5))
    assert found.is_contiguous()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert not torch.equal(found, x)
    for name, parameter in model.named_parameters():
        identity, stride, values = before[name]
        assert id(parameter) == identity
        assert parameter.stride() == stride
        assert torch.equal(parameter, values)
        assert parameter.requires_grad
        assert parameter.grad is None


def test_weights_written_between_steps_are_seen(study):
    model, shape, classes = study
    x, y = images(shape, classes)
    other = networks.build("study", seed=1)

    def on_step(step):
        if step == 1:
            for mine, new in zip(model.parameters(), other.parameters(), strict=True):
                mine.data.copy_(new)

    attack = PGD(steps=1, step_size=0.1, norm="l2", epsilon=9.0, backend="torch")
    halfway = attack(model, x, y)
    two = PGD(steps=2, step_size=0.1, norm="l2", epsilon=9.0, backend="torch")
    expected = attack(other, halfway, y)
    torch.testing.assert_close(two(model, x, y, on_step=on_step), expected, rtol=0, atol=1e-5)


def test_a_model_that_cannot_is_computed_as_it_is():
    model = Viewing()
    x, y = images((2, 8, 8), 5)
    assert channels_last_pays(model, x)
    attack = PGD(steps=2, backend="torch")
    result = attack(model, x, y)
    assert not channels_last_pays(model, x)
    assert torch.equal(result, attack(model, x, y))


def test_a_models_own_error_is_told():
    model, (x, y) = Viewing(), images((2, 9, 9), 5)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        PGD(steps=1, backend="torch")(model, x, y)
    assert channels_last_pays(model, x)


@pytest.mark.filterwarnings("ignore")
def test_what_it_would_not_serve(study):
    model, shape, classes = study
    x, _ = images(shape, classes)
    assert not channels_last_pays(model, x.double())
    assert not channels_last_pays(model.double(), x)
    assert not channels_last_pays(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), x)
    assert not channels_last_pays(torch.compile(networks.build("study", seed=0)), x)
    compiled = networks.build("study", seed=0)
    compiled.compile()
    assert not channels_last_pays(compiled, x)


def test_the_rule(residual, study, monkeypatch):
    monkeypatch.undo()
    for (model, shape, _), batch, expected in [
        (residual, 16, True), (residual, 15, False), (study, 64, False),
    ]:  # fmt: skip
        assert channels_last_pays(model, torch.rand(batch, *shape)) is expected
