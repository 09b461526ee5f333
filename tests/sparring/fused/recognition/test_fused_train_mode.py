"""What train mode changes: dropout, and batch normalisation wherever it stands."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from sparring.fused.recognise import fingerprint
from tests.sparring.fused.recognition.recognising import (
    Net,
    check,
    convolutional,
    refused,
    statistics,
)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Flatten(), nn.BatchNorm1d(128), nn.Linear(128, 4)],
        [
            nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(108),
            nn.Linear(108, 4, bias=False),
        ],
        [
            nn.Flatten(), nn.Linear(128, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.BatchNorm1d(6),
            nn.Dropout(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.GELU(),
            nn.BatchNorm1d(5, affine=False), nn.Linear(5, 4), nn.BatchNorm1d(4),
        ],
    ],
)  # fmt: skip
def test_batch_norm_before_a_linear_layer(layers):
    for layer in layers:
        if isinstance(layer, nn.BatchNorm1d):
            statistics(layer)
    model = nn.Sequential(*layers)
    assert "normalises by the minibatch" in check(model).only_attacks


def test_a_normalised_value_that_others_take_is_refused():
    norm = nn.BatchNorm1d(108)
    model = Net(lambda self, x: self.norm(y := self.conv(x).flatten(1)) + self.fc(y), norm=norm)
    assert "layer norm (BatchNorm1d) is given a value that other layers take" in refused(model)


def test_train_mode():
    def noisy(self, x):
        x = self.conv(x)
        return self.fc((x * 2 if self.training else x).flatten(1))

    reason = check(Net(noisy)).only_attacks
    assert reason.startswith("the model behaves differently in train mode: operation mul")

    def rectified(self, x):
        x = self.conv(x)
        return self.fc((x.relu() if self.training else x).flatten(1))

    assert check(Net(rectified)).only_attacks == "the model behaves differently in train mode"

    def other_layer(self, x):
        x = self.conv(x).flatten(1)
        return self.fc(x) if self.training else self.other(x)

    model = Net(other_layer, other=nn.Linear(108, 4))
    assert refused(model) == "parameter fc.weight takes no part in the model's layers"
    model.conv.eval()
    refused(model)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.BatchNorm2d(3), "layer 1 (BatchNorm2d) normalises by the minibatch in train mode"),
        (nn.BatchNorm2d(3, affine=False), "normalises by the minibatch in train mode"),
        (nn.Dropout(0.5), "layer 1 (Dropout) is active, with p=0.5"),
        (nn.Dropout2d(0.5), "layer 1 (Dropout2d) is active, with p=0.5"),
        (nn.Dropout3d(0.5), "layer 1 (Dropout3d) is active, with p=0.5"),
        (nn.AlphaDropout(0.5), "layer 1 (AlphaDropout) is active, with p=0.5"),
        (nn.FeatureAlphaDropout(0.5), "layer 1 (FeatureAlphaDropout) is active, with p=0.5"),
    ],
)
def test_layers_that_only_attacks_know(layer, reason):
    recognised = check(convolutional(None, layer))
    assert recognised.only_attacks.startswith("the model behaves differently in train mode: ")
    assert recognised.only_attacks.endswith(reason)


def test_functions_of_the_mode():
    def forward(self, x):
        x = F.dropout2d(self.conv(x), 0.3, self.training)
        return F.alpha_dropout(self.fc(F.dropout(x.flatten(1), training=self.training)))

    assert "operation dropout2d is active, with p=0.3" in check(Net(forward)).only_attacks
    assert not check(
        Net(lambda self, x: F.dropout(self.fc(self.conv(x).flatten(1)), 0))
    ).only_attacks


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda norm: norm.double(), "weight is float64"),
        (
            lambda norm: norm.register_buffer("running_var", torch.ones(3).double()),
            "has a running_var of float64 (3,) on cpu, not of float32 (3,) on cpu",
        ),
        (lambda norm: norm.register_buffer("running_mean", torch.ones(2)), "float32 (2,) on cpu"),
        (lambda norm: norm.to("meta"), "on meta"),
        (lambda norm: norm.register_parameter("bias", nn.Parameter(torch.ones(2))), "a bias of"),
        (lambda norm: norm.register_forward_hook(lambda *_: None), "has hooks"),
    ],
)
def test_batch_normalisations_that_are_not_what_they_seem(change, reason):
    model = convolutional(None, nn.BatchNorm2d(3))
    before = fingerprint(model)
    change(model[1])
    assert reason in refused(model)
    assert fingerprint(model) != before
