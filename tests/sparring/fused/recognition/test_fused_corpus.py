"""Which networks of the corpus the fused engine takes, or the one reason why not."""

from __future__ import annotations

import pytest
import torch

from sparring.benchmark.corpus import CORPUS
from sparring.fused.recognise import UnsupportedError, recognise

#: Refused altogether: the reason.
REFUSED: dict[str, str] = {}
#: Taken for attacks, not for updates: what train mode does.
ONLY_ATTACKS = {
    "TRADES SmallCNN": "layer 13 (Dropout) is active, with p=0.5",
    "Carlini-Wagner, MNIST": "layer 13 (Dropout) is active, with p=0.5",
    "Carlini-Wagner, CIFAR": "layer 13 (Dropout) is active, with p=0.5",
    "all-convolutional": "layer 0 (Dropout) is active, with p=0.2",
    "CNN, SiLU and BN": "layer 1 (BatchNorm2d) normalises by the minibatch in train mode",
    "conv-BN-ReLU": "layer 1 (BatchNorm2d) normalises by the minibatch in train mode",
    "ResNet-20": "layer 1 (BatchNorm2d) normalises by the minibatch in train mode",
    "PreActResNet-18": "layer 1.bn1 (BatchNorm2d) normalises by the minibatch in train mode",
    "WideResNet-10-1": "layer 1.bn1 (BatchNorm2d) normalises by the minibatch in train mode",
    "VGG-11 BN": "layer 1 (BatchNorm2d) normalises by the minibatch in train mode",
}


@pytest.mark.parametrize("name", CORPUS)
def test_what_is_taken(name):
    shape, make = CORPUS[name]
    torch.manual_seed(0)
    model = make()
    assert model.eval()(torch.rand(2, *shape)).shape[1] in (2, 10)
    if name in REFUSED:
        with pytest.raises(UnsupportedError) as info:
            recognise(model, shape)
        assert str(info.value) == REFUSED[name]
        return
    found = recognise(model, shape).only_attacks
    assert found.removeprefix("the model behaves differently in train mode: ") == (
        ONLY_ATTACKS.get(name, "")
    )


def test_reasons_name_networks_of_the_corpus():
    assert (REFUSED.keys() | ONLY_ATTACKS.keys()) <= CORPUS.keys()
