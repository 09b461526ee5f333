from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from sparring.networks import MadryCNN, Normalize, StudyCNN, build


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_study_network_has_the_papers_size():
    assert parameter_count(StudyCNN()) == 405_840


def test_madry_network_has_its_size():
    # 832 + 51,264 + 3,212,288 + 10,250, by hand from the layers' shapes
    assert parameter_count(MadryCNN()) == 3_274_634


def test_study_network_computes_its_definition():
    model = build("study", seed=3, dtype=torch.float64)
    x = torch.rand((2, 1, 28, 28), dtype=torch.float64)
    p = dict(model.named_parameters())
    z = F.relu(F.conv2d(x, p["conv1.weight"], p["conv1.bias"]))
    z = F.relu(F.conv2d(z, p["conv2.weight"], p["conv2.bias"])).reshape(2, 8000)
    z = F.relu(z @ p["linear1.weight"].T + p["linear1.bias"])
    z = z @ p["linear2.weight"].T + p["linear2.bias"]
    torch.testing.assert_close(model(x), z)


def test_madry_network_computes_its_definition():
    model = build("madry", seed=3, dtype=torch.float64)
    x = torch.rand((2, 1, 28, 28), dtype=torch.float64)
    p = dict(model.named_parameters())
    z = F.relu(F.conv2d(x, p["conv1.weight"], p["conv1.bias"], padding=2))
    z = F.relu(F.conv2d(F.max_pool2d(z, 2), p["conv2.weight"], p["conv2.bias"], padding=2))
    z = F.max_pool2d(z, 2).reshape(2, 3136)
    z = F.relu(z @ p["linear1.weight"].T + p["linear1.bias"])
    z = z @ p["linear2.weight"].T + p["linear2.bias"]
    torch.testing.assert_close(model(x), z)


def test_build_depends_on_the_seed_alone():
    torch.manual_seed(0)
    first = build("study", seed=5).state_dict()
    torch.manual_seed(1)
    again, other = build("study", seed=5).state_dict(), build("study", seed=6).state_dict()
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name])
        assert not torch.equal(tensor, other[name])


def test_build_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    build("study", seed=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_networks_of_both_dtypes_start_at_the_same_point():
    single, double = build("study", 5), build("study", 5, torch.float64)
    for a, b in zip(single.parameters(), double.parameters(), strict=True):
        assert b.dtype == torch.float64
        assert torch.equal(a.double(), b)


def test_build_refuses_an_unknown_name():
    with pytest.raises(
        ValueError, match="network must be one of madry, resnet20, study, not 'resnet'"
    ):
        build("resnet", seed=0)


def test_normalize_per_channel_and_moves_with_the_model():
    layer = Normalize([0.5, 0.25], [2.0, 4.0]).double()
    x = torch.tensor([1.0, 3.0], dtype=torch.float64).reshape(1, 2, 1, 1).expand(3, 2, 4, 4)
    y = layer(x)
    assert y.dtype == torch.float64
    assert y.shape == x.shape
    torch.testing.assert_close(y[0, :, 0, 0], torch.tensor([0.25, 0.6875], dtype=torch.float64))
    assert not list(layer.parameters())


def test_normalize_takes_single_numbers():
    x = torch.tensor([[[[0.1307, 0.1307 + 0.3081]]]])
    torch.testing.assert_close(Normalize(0.1307, 0.3081)(x), torch.tensor([[[[0.0, 1.0]]]]))


def test_normalize_refuses_a_zero_deviation():
    with pytest.raises(ValueError, match="std must be above 0"):
        Normalize([0.1, 0.2], [1.0, 0.0])
