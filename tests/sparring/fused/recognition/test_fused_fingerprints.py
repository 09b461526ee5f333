"""Fingerprints: the same while a model is trained, others when it becomes another."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from sparring.fused.recognise import fingerprint, recognise
from sparring.networks import Normalize
from tests.sparring.fused.recognition.recognising import SHAPE, convolutional


def test_a_fingerprint_does_not_change_with_statistics():
    model = convolutional(None, nn.BatchNorm2d(3))
    before = fingerprint(model)
    model(torch.rand(2, *SHAPE))
    model[1].running_mean = torch.ones(3)
    assert fingerprint(model) == before
    model[1].eps = 0.1
    assert fingerprint(model) != before


def test_a_fingerprint_stays_the_same_while_the_model_is_trained():
    model = nn.Sequential(Normalize([0.5, 0.5], 0.5), convolutional(None, nn.ReLU()))
    before = fingerprint(model)
    number = hash(before)
    model.eval()
    model.requires_grad_(False)
    assert fingerprint(model) == before
    model.train()
    model.requires_grad_(True)
    model(torch.rand(2, *SHAPE)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    model.load_state_dict(copy.deepcopy(model.state_dict()))
    recognise(model, SHAPE)
    assert fingerprint(model) == before
    assert hash(fingerprint(model)) == number


def _replace_parameter(m):
    m[1].weight = nn.Parameter(m[1].weight.detach().clone())


def _drop_bias(m):
    m[1].bias = None


def _channels_last(m):
    m[1].weight.data = m[1].weight.data.to(memory_format=torch.channels_last)


def _forward(m):
    m[1].forward = lambda x: x


def _swap(m):
    m[1], m[5] = m[5], m[1]


def _rename(m):
    m.add_module("head", m._modules.pop("5"))


@pytest.mark.parametrize(
    "change",
    [
        _replace_parameter,
        _drop_bias,
        _channels_last,
        _forward,
        _swap,
        _rename,
        lambda m: m.append(nn.Softmax(1)),
        lambda m: m.__delitem__(2),
        lambda m: m.__setitem__(2, nn.ReLU()),
        lambda m: m.__setitem__(2, nn.Sequential()),
        lambda m: m[2].__setattr__("__class__", nn.Tanh),
        lambda m: m[1].__setattr__("stride", (2, 2)),
        lambda m: m[1].__setattr__("dilation", (2, 2)),
        lambda m: m[3].__setattr__("p", 0.5),
        lambda m: m[0].mean.add_(1),
        lambda m: m[0].register_buffer("std", torch.ones(1, 2, 1, 1)),
        lambda m: m.double(),
        lambda m: m[1].double(),
        lambda m: prune.identity(m[1], "weight"),
        lambda m: parametrizations.weight_norm(m[1]),
        lambda m: m.register_parameter("extra", nn.Parameter(torch.ones(1))),
        lambda m: setattr(m, "flag", True),
    ],
)
def test_a_fingerprint_changes_with_the_model(change):
    model = nn.Sequential(
        Normalize(0.5, 0.5),
        nn.Conv2d(2, 3, 3),
        nn.ReLU(),
        nn.Dropout(0.0),
        nn.Flatten(),
        nn.Linear(108, 4),
    )
    model.flag = False
    before = fingerprint(model)
    assert fingerprint(model) == before
    change(model)
    assert fingerprint(model) != before
    hash(fingerprint(model))


def test_fingerprints_of_equal_models_differ():
    model = convolutional()
    assert fingerprint(model) != fingerprint(copy.deepcopy(model))


def test_a_fingerprint_keeps_no_model_alive_and_knows_no_later_one():
    seen = []
    gc.freeze()  # or each collection would look through all that the session has imported
    try:
        for _ in range(20):
            # The later models are likely to lie at the addresses of the earlier ones.
            model = nn.Sequential(nn.ReLU(), nn.Identity())
            dead = weakref.ref(model)
            key = fingerprint(model)
            assert key not in seen
            seen.append(key)
            del model
            gc.collect()
            assert dead() is None
    finally:
        gc.unfreeze()
    assert len(set(seen)) == 20


def test_a_fingerprint_takes_any_attribute_and_any_model():
    model = convolutional()
    model.names, model.sizes, model.rate = ["a"], ([1], 2), 0.5
    model.nothing = None
    model.register_parameter("none", None)
    model.register_module("gone", None)
    assert hash(fingerprint(model)) == hash(fingerprint(model))
    hash(fingerprint(nn.Sequential(nn.LazyLinear(3), Normalize(0, 1).to("meta"))))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fingerprint_of_a_script():
    hash(fingerprint(torch.jit.script(convolutional())))


def test_a_fingerprint_does_not_hinder_swapping_tensors():
    model = convolutional()
    before = fingerprint(model)
    torch.utils.swap_tensors(model[0].weight, nn.Parameter(torch.ones(3, 2, 3, 3).double()))
    assert fingerprint(model) != before
