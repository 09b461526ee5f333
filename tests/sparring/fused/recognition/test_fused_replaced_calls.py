"""Calls that are not those of the layers: hooks, replaced methods, compiled models."""

from __future__ import annotations

import copy
import re
import types

import pytest
import torch
from torch import nn

from sparring.fused.recognise import fingerprint, recognise
from sparring.networks import Normalize
from tests.sparring.fused.recognition.recognising import SHAPE, check, convolutional, refused


@pytest.mark.filterwarnings("ignore")
def test_old_weight_norm_and_scripts_and_compiled_models():
    model = convolutional(torch.nn.utils.weight_norm(nn.Conv2d(2, 3, 3)))
    assert "has hooks" in refused(model)
    # Without its hook, what it computed last is left as a tensor that is not a parameter.
    model[0]._forward_pre_hooks.clear()
    refused(model)
    assert "is compiled by TorchScript" in refused(torch.jit.script(convolutional()))
    refused(torch.compile(convolutional()))


def test_a_graph_module():
    assert "has its own __call__" in refused(torch.fx.symbolic_trace(convolutional()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(
    set(torch.backends.quantized.supported_engines) <= {"none"}, reason="PyTorch can't quantize"
)
def test_a_quantized_layer():
    model = torch.ao.quantization.quantize_dynamic(convolutional(), {nn.Linear})
    assert "dynamic.modules.linear.Linear) is not one" in refused(model)


@pytest.mark.parametrize(
    "register",
    [
        lambda m: m[0].register_forward_hook(lambda *_: None),
        lambda m: m[0].register_forward_pre_hook(lambda *_: None),
        lambda m: m[0].register_full_backward_hook(lambda *_: None),
        lambda m: m[0].register_full_backward_pre_hook(lambda *_: None),
        lambda m: m.register_forward_hook(lambda *_: None),
        lambda m: m[0].weight.register_hook(lambda _: None),
        lambda m: m[0].weight.register_post_accumulate_grad_hook(lambda _: None),
        lambda m: nn.modules.module.register_module_forward_hook(lambda *_: None),
        lambda m: nn.modules.module.register_module_full_backward_hook(lambda *_: None),
    ],
)
def test_hooks(register):
    model = convolutional()
    before = fingerprint(model)
    handle = register(model)
    try:
        reason, during = refused(model), fingerprint(model)
    finally:
        handle.remove()
    assert "hook" in reason
    assert during != before
    check(model)
    assert fingerprint(model) == before


def test_replaced_methods():
    model = convolutional()
    model[0].forward = lambda x: x[:, :1]
    assert "layer 0 (Conv2d) has its method forward replaced" in refused(model)
    model = convolutional()
    model.forward = types.MethodType(lambda self, x: x * 2, model)
    assert "the model (Sequential) has its method forward replaced" in refused(model)

    class Doubled(nn.Sequential):
        def __call__(self, x):
            return 2 * super().__call__(x)

    assert "has its own __call__" in refused(Doubled(*convolutional()))


def test_what_can_not_be_copied():
    model = convolutional()
    model.generator = (i for i in range(3))
    assert re.match(r"torch.fx can't trace the model: .*generator", refused(model))


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(Normalize(0.5, 0.5), convolutional(None, nn.ReLU()))
    model[1].eval()
    model[1][0].weight.requires_grad_(False)
    model[1][0].bias.grad = torch.ones(3)
    before = [{**vars(m)} for m in model.modules()]
    tensors = copy.deepcopy(model.state_dict())
    versions = [p._version for p in model.parameters()]
    recognise(model, SHAPE)
    for module, was in zip(model.modules(), before, strict=True):
        assert vars(module).keys() == was.keys()
        assert all(vars(module)[name] is value for name, value in was.items())
    assert [m.training for m in model] == [True, False]
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]
    assert torch.equal(model[1][0].bias.grad, torch.ones(3))
    assert [p._version for p in model.parameters()] == versions
    torch.testing.assert_close(model.state_dict(), tensors, rtol=0, atol=0)
