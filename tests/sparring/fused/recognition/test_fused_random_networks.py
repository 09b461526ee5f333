"""Random networks: what is recognised is what they compute, forwards and backwards."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sparring.fused.recognise import recognise
from sparring.networks import Normalize
from tests.sparring.fused.recognition.recognising import SHAPE, check, compute, statistics


@st.composite
def models(draw):
    """A random supported model and the shape of its images."""
    channels = draw(st.integers(1, 3))
    height, width = draw(st.integers(5, 9)), draw(st.integers(5, 9))
    shape = (channels, height, width)
    layers: list[nn.Module] = []

    def sometimes(module):
        if draw(st.booleans()):
            layers.append(module)

    if draw(st.booleans()):
        numbers = [0.5 + i for i in range(draw(st.sampled_from([1, channels])))]
        layers.append(Normalize(numbers, draw(st.sampled_from([0.5, [0.5] * channels]))))
    for _ in range(draw(st.integers(0, 3))):
        kernel = draw(st.integers(1, min(5, height, width)))
        padding = draw(st.integers(0, kernel - 1))
        if kernel % 2 and padding == kernel // 2 and draw(st.booleans()):
            given = "same"
        else:
            given = draw(st.sampled_from([padding, (padding, padding)]))
        outputs = draw(st.integers(1, 3))
        bias = draw(st.booleans())
        stride = 1 if given == "same" else draw(st.integers(1, 3))
        layers.append(nn.Conv2d(channels, outputs, kernel, stride, padding=given, bias=bias))
        channels = outputs
        height, width = ((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
        if draw(st.booleans()):
            layers.append(statistics(nn.BatchNorm2d(channels, affine=draw(st.booleans()))))
        sometimes(nn.ReLU(inplace=draw(st.booleans())))
        if min(height, width) >= 2 and draw(st.booleans()):
            size, stride = draw(st.integers(1, min(3, height, width))), draw(st.integers(1, 3))
            padding = draw(st.integers(0, size // 2))
            kind = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))
            layers.append(kind(size, stride, padding))
            height, width = ((n + 2 * padding - size) // stride + 1 for n in (height, width))
        sometimes(draw(st.sampled_from([nn.ReLU, nn.Tanh, nn.GELU, nn.ELU]))())
        sometimes(nn.Identity())
    layers.append(nn.Flatten())
    size = math.prod((channels, height, width))
    for _ in range(draw(st.integers(0, 2))):
        outputs = draw(st.integers(1, 6))
        layers.append(nn.Linear(size, outputs, bias=draw(st.booleans())))
        size = outputs
        if draw(st.booleans()):
            layers.append(statistics(nn.BatchNorm1d(size, affine=draw(st.booleans()))))
        sometimes(draw(st.sampled_from([nn.ReLU, nn.SiLU, nn.Sigmoid]))())
        if isinstance(layers[-1], nn.ReLU | nn.SiLU | nn.Sigmoid) and draw(st.booleans()):
            layers.append(statistics(nn.BatchNorm1d(size, affine=draw(st.booleans()))))
        sometimes(nn.Dropout(draw(st.sampled_from([0.0, 0.5]))))
    layers.append(nn.Linear(size, draw(st.integers(1, 5))))
    cut = draw(st.integers(0, len(layers)))
    if draw(st.booleans()):
        return nn.Sequential(nn.Sequential(*layers[:cut]), nn.Sequential(*layers[cut:])), shape
    return nn.Sequential(*layers), shape


@given(models())
def test_what_is_recognised_is_what_the_model_computes(drawn):
    model, shape = drawn
    recognised = check(model, shape)
    own = [p for p in recognised.parameters if p is not None]
    norms = recognised.norms + recognised.norms_before
    own += [p for norm in norms if norm is not None for p in norm.parameters()]
    assert {*map(id, own)} == {*map(id, model.parameters())}


@given(models())
def test_gradients_are_those_of_the_model(drawn):
    model, shape = drawn
    x = (torch.rand((2, *shape)) - 0.5).requires_grad_()
    recognised = recognise(model.eval(), shape)
    # What is folded is made anew of the parameters, without a graph.
    folded = any(recognised.norms + recognised.norms_before)
    tensors = [x, *([] if folded else model.parameters())]
    ours = torch.autograd.grad(compute(recognised, x).square().sum(), tensors)
    theirs = torch.autograd.grad(model(x).square().sum(), tensors)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


@given(
    channels=st.sampled_from([(2, 4, 2), (2, 3, 1), (2, 6, 2)]),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pool=st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]),
    window=st.integers(1, 3),
    step=st.integers(1, 3),
)
def test_any_convolution_and_windows_over_the_edge(
    channels, kernel, stride, padding, dilation, pool, window, step
):
    inputs, outputs, groups = channels
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups)
    front = nn.Sequential(conv, nn.ReLU(), pool(window, step, ceil_mode=True))
    try:
        size = front(torch.rand(1, *SHAPE)).numel()
    except RuntimeError:
        return  # nothing to pool
    check(nn.Sequential(front, nn.Flatten(), nn.Linear(size, 3)))
