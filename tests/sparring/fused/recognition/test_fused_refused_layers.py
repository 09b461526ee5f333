"""Layers, and their places, that are refused, each for its reason."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from sparring.errors import SparringError
from sparring.fused.recognise import UnsupportedError
from sparring.networks import Normalize, StudyCNN
from tests.sparring.fused.recognition.recognising import Net, convolutional, refused


def test_the_error_is_meant_to_be_read():
    assert issubclass(UnsupportedError, SparringError)
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(2, 3, 3))
    model.add_module("conv2", nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"))
    assert refused(model) == (
        "layer conv2 (Conv2d) has padding mode 'circular'; the fused engine takes 'zeros'"
    )


@pytest.mark.parametrize("shape", [(), (0,), (28, 28), (1, 1, 28, 28), (1, 0, 28)])
def test_other_images(shape):
    assert "(channels, height, width) or (features,)" in refused(StudyCNN(), shape)


@pytest.mark.parametrize("first", [nn.Conv2d(1, 1, 1), nn.MaxPool2d(1), Normalize(0, 1)])
def test_layers_for_images_refuse_features(first):
    assert f"layer 0 ({type(first).__name__})" in refused(nn.Sequential(first), (128,))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"padding": 1, "padding_mode": "reflect"}, "padding mode 'reflect'"),
        ({"padding": "same", "kernel_size": 4}, "padding 'same' and a kernel of size (4, 4)"),
        ({"kernel_size": 9}, "kernel too large for 8x8 pixels"),
        ({"in_channels": 3}, "takes 3 channels and is given 2"),
        ({"dtype": torch.float64}, "0.weight is float64; the fused engine takes float32"),
        ({"dtype": torch.complex64}, "0.weight is complex64"),
        ({"dtype": torch.bfloat16}, "0.weight is bfloat16"),
        ({"device": "meta"}, "0.weight is on meta"),
    ],
)
def test_convolutions(settings, reason):
    conv = nn.Conv2d(**{"in_channels": 2, "out_channels": 3, "kernel_size": 3, **settings})
    assert reason in refused(convolutional(conv))


@pytest.mark.parametrize(
    ("pool", "reason"),
    [
        (nn.MaxPool2d(7), "has nothing to pool in 6x6 pixels"),
        (nn.MaxPool2d(2, padding=2), "has padding 2, more than half its window"),
        (nn.MaxPool2d(2.0), "has sizes that aren't understood"),
        (nn.MaxPool2d(2, dilation=2), "has dilation 2"),
        (nn.MaxPool2d(2, return_indices=True), "has return_indices"),
        (nn.AvgPool2d(2, divisor_override=3), "has divisor_override"),
        (nn.AdaptiveAvgPool2d(4), "makes 4x4 pixels of 6x6; the fused engine takes windows of eq"),
        (nn.AdaptiveMaxPool2d(2), "layer 1 (AdaptiveMaxPool2d) is not one"),
    ],
)
def test_pooling(pool, reason):
    assert reason in refused(convolutional(None, pool))


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)], "layer 0 (ReLU) comes before the first"),
        ([nn.Tanh()], "layer 0 (Tanh) comes before the first layer"),
        ([nn.Conv2d(2, 3, 3), nn.LeakyReLU(-1.0)], "layer 1 (LeakyReLU) has the parameter -1.0"),
        (
            [nn.Conv2d(2, 3, 3), nn.ELU(float("nan"))],
            "the parameter nan; the fused engine takes 1e-6",
        ),
        ([nn.Conv2d(2, 3, 3), nn.Softplus(1, 9)], "has threshold 9; the fused engine takes 16"),
        ([nn.Flatten(), nn.Linear(128, 4), nn.Tanh()], "an activation (Tanh) follows the last"),
        (
            [nn.Flatten(), nn.Linear(128, 4), nn.Tanh(), nn.ReLU()],
            "layer 3 (ReLU) is the second activation after one linear layer",
        ),
        (
            [nn.Flatten(), nn.Linear(128, 4), nn.ReLU(), nn.ELU()],
            "layer 3 (ELU) is the second activation after one linear layer",
        ),
        ([nn.Conv2d(2, 3, 8), nn.MaxPool2d(2)], "nothing to pool in 1x1 pixels"),
        ([nn.Conv2d(2, 3, 3), nn.Flatten(), nn.MaxPool2d(2)], "follows a flattening"),
        ([nn.Flatten(), nn.Linear(128, 4), nn.MaxPool2d(2)], "follows a flattening"),
        ([nn.Flatten(), nn.Conv2d(2, 3, 3)], "follows a flattening or a linear layer"),
        ([nn.Conv2d(2, 3, 3), nn.Linear(6, 4)], "images of shape (3, 6, 6), not flattened"),
        ([nn.Flatten(), nn.Linear(100, 4)], "takes 100 inputs and is given 128"),
        ([nn.Flatten(), nn.Linear(128, 4), nn.ReLU()], "a ReLU follows the last linear layer"),
        ([nn.Flatten(), nn.Linear(128, 4), nn.Softmax(1)], "layer 2 (Softmax) is not one"),
        ([nn.Flatten(), nn.Linear(128, 4), nn.LogSoftmax(1)], "layer 2 (LogSoftmax) is not"),
        ([nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten()], "doesn't end in a linear layer"),
        ([], "doesn't end in a linear layer"),
        ([nn.Conv2d(2, 3, 8), nn.Flatten(), nn.BatchNorm1d(3)], "doesn't end in a linear layer"),
        (
            [nn.Flatten(), nn.Linear(128, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4)],
            "a BatchNorm1d is followed by no linear layer",
        ),
        (
            [nn.Flatten(), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 4)],
            "layer 2 (ReLU) follows a BatchNorm1d, which the fused engine folds into the next",
        ),
        (
            [nn.Flatten(), nn.BatchNorm1d(128), nn.Tanh(), nn.Linear(128, 4)],
            "layer 2 (Tanh) follows a BatchNorm1d",
        ),
        (
            [nn.Flatten(), nn.BatchNorm1d(128), nn.BatchNorm1d(128), nn.Linear(128, 4)],
            "layer 2 (BatchNorm1d) follows a BatchNorm1d",
        ),
        ([nn.Conv2d(2, 3, 3), nn.BatchNorm2d(4)], "has 4 features and is given (3, 6, 6)"),
        ([nn.Conv2d(2, 3, 3), nn.BatchNorm1d(3)], "has 3 features and is given (3, 6, 6)"),
        (
            [nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)],
            "has no running statistics: in eval mode, too, it normalises by the batch",
        ),
        ([nn.Conv2d(2, 3, 3), nn.BatchNorm3d(3)], "layer 1 (BatchNorm3d) is not one"),
        ([nn.Conv2d(2, 3, 3), nn.Mish()], "layer 1 (Mish) is not one"),
        ([nn.Flatten(0)], "flattens dimensions 0 to -1"),
        ([nn.Flatten(1, 2)], "flattens dimensions 1 to 2"),
        ([nn.Conv2d(2, 3, 3), Normalize(0, 1)], "layer 1 (Normalize) is not the first layer"),
        ([Normalize(0, 1), Normalize(0, 1)], "layer 1 (Normalize) is not the first layer"),
        ([nn.Flatten(), Normalize(0, 1)], "layer 1 (Normalize) is not the first layer"),
        ([Normalize([0.0] * 3, 1)], "mean of shape (1, 3, 1, 1) for images of 2 channels"),
        ([Normalize(0.0, 1.0).double()], "has a mean of float64"),
        ([Normalize(0, 1).to("meta")], "on meta"),
        ([nn.LazyConv2d(3, 3)], "layer 0 (LazyConv2d) has hooks"),
        ([nn.Conv2d(2, 3, 3), nn.Unflatten(1, (1, 3))], "Unflatten"),
    ],
)
def test_chains(layers, reason):
    assert reason in refused(nn.Sequential(*layers))


def test_parameters_without_a_part():
    model = Net(lambda self, x: self.fc(self.conv(x).flatten(1)), extra=nn.Linear(2, 2))
    assert refused(model) == "parameter extra.weight takes no part in the model's layers"
    model = convolutional()
    model.scale = nn.Parameter(torch.ones(1))
    assert "parameter scale takes no part" in refused(model)


def test_shared_parameters():
    shared = nn.Conv2d(2, 2, 3, padding=1)
    model = nn.Sequential(shared, nn.ReLU(), shared, nn.Flatten(), nn.Linear(128, 4))
    assert "layer 0 (Conv2d) shares its weight with another layer, or is used twice" in (
        refused(model)
    )
    model = nn.Sequential(nn.Flatten(), nn.Linear(128, 128), nn.Linear(128, 128))
    model[2].bias = model[1].bias
    assert "layer 2 (Linear) shares its bias" in refused(model)


class _Conv(nn.Conv2d):
    pass


class _ReLU(nn.ReLU):
    def forward(self, x):
        return x * 2


class _Normalize(Normalize):
    pass


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (_Conv(2, 3, 3), "layer 0 (_Conv) is derived from Conv2d; the fused engine takes the"),
        (_ReLU(), "layer 0 (_ReLU) is derived from ReLU"),
        (_Normalize(0, 1), "layer 0 (_Normalize) is derived from Normalize"),
        (parametrizations.weight_norm(nn.Conv2d(2, 3, 3)), "(ParametrizedConv2d) is derived"),
        (parametrizations.spectral_norm(nn.Conv2d(2, 3, 3)), "(ParametrizedConv2d) is derived"),
        (prune.l1_unstructured(nn.Conv2d(2, 3, 3), "weight", 0.5), "layer 0 (Conv2d) has hooks"),
        (nn.ConvTranspose2d(2, 3, 3), "layer 0 (ConvTranspose2d) is not one"),
    ],
)
def test_other_classes_than_the_known_ones(layer, reason):
    assert reason in refused(nn.Sequential(layer, nn.Flatten(), nn.Linear(108, 4)))


def test_layouts():
    model = convolutional()
    model[0].weight.data = model[0].weight.data.to(memory_format=torch.channels_last)
    assert "0.weight is not a dense contiguous array" in refused(model)
    model = convolutional()
    model[2].weight = nn.Parameter(model[2].weight.detach().to_sparse())
    assert "2.weight is not a dense contiguous array" in refused(model)
    model = convolutional()
    model[2].weight = nn.Parameter(torch.ones(4, 54))
    assert "layer 2 (Linear) has a weight of shape (4, 54), not (4, 108)" in refused(model)
    model[2].weight = nn.Parameter(torch.ones(0, 108))
    assert "layer 2 (Linear) has a weight of shape (0, 108)" in refused(model)
    model[2].weight = nn.UninitializedParameter()
    assert "2.weight is of type UninitializedParameter" in refused(model)
    model = convolutional()
    del model[2].bias
    model[2].bias = torch.zeros(4)
    assert "has a bias that is not a parameter" in refused(model)
