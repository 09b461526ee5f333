"""What a forward may not do, each for its reason."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from tests.sparring.fused.recognition.recognising import Net, between, refused


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda x: x * 2, "operation mul is not one"),
        (lambda x: 1 - x, "operation sub is not one"),
        (lambda x: x + x, "operation add adds a value to itself"),
        (lambda x: -x, "operation neg is not one"),
        (lambda x: torch.cat([x, x]), "operation cat is not one"),
        (lambda x: x.tan(), "operation tan is not one"),
        (lambda x: F.mish(x), "operation mish is not one"),
        (lambda x: F.dropout(x, 0.5), "operation dropout is active, with p=0.5"),
        (lambda x: x.clamp(min=0), "operation clamp is not one"),
        (lambda x: x.detach(), "operation detach is not one"),
        (lambda x: x.double(), "operation double is not one"),
        (lambda x: x[:, :2], "operation getitem takes part of a value"),
        (lambda x: x.mT, "operation .mT is not one"),
        (lambda x: F.avg_pool2d(x, 7), "operation avg_pool2d has nothing to pool"),
        (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], "is not one"),
        (lambda x: x.relu(2, 3), "operation relu has arguments that aren't understood"),
        (lambda x: x.flatten(), "operation flatten flattens dimensions 0 to -1"),
        (lambda x: x.view(-1), "operation view has sizes that aren't understood"),
        (lambda x: x.view(64, -1), "operation view fixes the batch size to 64"),
        (lambda x: x.view(-1, 54), "operation view gives each image the shape (54,)"),
        (lambda x: x.view(-1, 6, 3, 6), "gives each image the shape (6, 3, 6)"),
        (lambda x: x.view(x.shape[0], 2, -1), "gives each image the shape (2, 54)"),
        (lambda x: x.view(torch.int32), "sizes that aren't understood"),
        (lambda x: x.view(x.size(7), -1), "operation size is not one"),
        (lambda x: x.view(x.shape[0] * 2, -1), "operation mul is not one"),
        (lambda x: x.reshape((*x.shape[:1], -1)), "torch.fx can't trace the model"),
        (lambda x: x.view(len(x), -1), "torch.fx can't trace the model"),
        (lambda x: x if x.sum() > 0 else x * 2, "torch.fx can't trace the model"),
        (lambda x: x + torch.ones(1), "uses a tensor that is not a parameter"),
        (lambda x: x + torch.rand(()), "uses a tensor that is not a parameter"),
    ],
)
def test_operations(operation, name):
    model = between(operation)
    before = set(vars(model))
    state = torch.get_rng_state()
    assert name in refused(model)
    assert set(vars(model)) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_softmax_at_the_end():
    model = Net(lambda self, x: F.log_softmax(self.fc(self.conv(x).flatten(1)), dim=1))
    assert refused(model) == "operation log_softmax is not one that the fused engine takes"


def _value_used_again(self, x):
    y = self.conv(x)
    F.relu(y)
    return self.fc(y.flatten(1))


def _earlier_output(self, x):
    y = self.fc(self.conv(x).flatten(1))
    y.relu()
    return y


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (_value_used_again, "layer fc (Linear) takes a value that isn't that of the layer before"),
        (_earlier_output, "without branches"),
        (lambda self, x: (self.fc(self.conv(x).flatten(1)), x), "doesn't return one tensor"),
        (lambda self, x: None, "doesn't return one tensor"),
        (lambda self, x: self.fc(self.fc.bias), "applied to something else"),
        (lambda self, x, y=None: self.conv(x), "more than one argument"),
        (lambda self, *x: self.conv(x[0]), "operation getitem"),
        (lambda self: self.conv(torch.rand(1)), "not a parameter"),
        (lambda self, x: F.conv2d(x, self.conv.weight), "uses conv.weight directly"),
        (lambda self, x: F.linear(x, weight=self.fc.weight), "linear uses fc.weight directly"),
        (lambda self, x: self.conv(x) * self.fc.bias, "mul uses fc.bias directly"),
        (lambda self, x: self.fc(x.flatten(1)[:, :108]), "getitem"),
        (lambda self, x: 1 / 0, "torch.fx can't trace the model: division by zero"),
        (lambda self, x: nn.ReLU()(self.conv(x)), "torch.fx can't trace the model"),
    ],
)
def test_forwards(forward, reason):
    assert reason in refused(Net(forward))


def test_modes_within_forward():
    def frozen(self, x):
        with torch.no_grad():
            x = self.conv(x)
        return self.fc(x.flatten(1))

    assert "turns gradients off" in refused(Net(frozen))
    undecorated = Net(lambda self, x: self.fc(self.conv(x).flatten(1)))
    type(undecorated).forward = torch.no_grad()(type(undecorated).forward)
    assert "turns gradients off" in refused(undecorated)

    def cast(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.fc(self.conv(x).flatten(1))

    assert "turns autocast on" in refused(Net(cast))


def test_forwards_that_write_to_the_model():
    def counting(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return self.fc(self.conv(x).flatten(1))

    def keeping(self, x):
        self.features = self.conv(x)
        return self.fc(self.features.flatten(1))

    def buffering(self, x):
        self.counter += 1
        return self.fc(self.conv(x).flatten(1))

    for forward in (counting, keeping, buffering):
        model = Net(forward)
        model.register_buffer("counter", torch.zeros(()))
        before = set(vars(model))
        assert "changes attributes or buffers" in refused(model)
        assert set(vars(model)) == before
        assert model.counter == 0
