"""``sparring.compile``: the engine of a model, made now and not at the first attack."""

from __future__ import annotations

from torch import nn

from sparring.backends import engine_of
from sparring.fused.engine import Engine


def compile(model: nn.Module, image_shape: tuple[int, ...] = (1, 28, 28)) -> Engine:
    """Compile a model for this machine, or fetch what was compiled before.

    Networks of Conv2d (any channels, square kernels, any stride, any padding below the kernel's
    size), ReLU and other activations, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, Flatten and Linear
    are supported, written as a Sequential or as any Module that torch.fx can trace, with
    `sparring.networks.Normalize` in front if wanted; float32, on the CPU. BatchNorm behind a Conv2d
    or a Linear, and Dropout, are taken as they are in eval mode: attacks are served then, and
    updates are PyTorch's. Attacks and trainers with ``backend="auto"`` call this by themselves.

    Args:
        model: from images to logits; its weights are read anew at every use.
        image_shape: (channels, height, width) of an image, or (features,); by default MNIST's.

    Raises:
        BackendError: with the reason, if the model is not supported or cannot be built.
    """
    engine = engine_of("fused", model, tuple(image_shape))
    assert engine is not None  # "fused" raises otherwise
    return engine
