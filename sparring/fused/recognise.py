"""Which PyTorch models the fused engine can compute, and as which `Network`.

The model's forward is traced by torch.fx, in eval and in train mode, and the graph is walked as one
chain of layers. What is not understood is refused with a reason: a wrong guess would train another
network than the user's. Nothing is guessed from a class's name, so any module whose forward amounts
to such a chain is recognised.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from sparring.fused.network import Network
from sparring.fused.recognition.checks import check_modules, check_parameters
from sparring.fused.recognition.fingerprint import fingerprint
from sparring.fused.recognition.tracing import identical, trace
from sparring.fused.recognition.unsupported import UnsupportedError
from sparring.fused.recognition.walk import Walk

__all__ = ["Recognised", "UnsupportedError", "fingerprint", "recognise"]


@dataclass(frozen=True, eq=False)  # == of parameters would compare their elements
class Recognised:
    """A model as the fused engine sees it.

    Attributes:
        network: its layers.
        parameters: weight and bias of each layer, in the layers' order (convolutions, then dense);
            None where a layer has no bias. They are the model's own objects, and all that it has.
    """

    network: Network
    parameters: tuple[nn.Parameter | None, ...]


def recognise(model: nn.Module, image_shape: tuple[int, ...]) -> Recognised:
    """The network that a model computes, with the parameters from which it computes it.

    The model is left as it was, and other threads may run models meanwhile. What the forward reads
    from outside the model is taken as it is now.

    Args:
        model: from images ``(n, *image_shape)`` to logits.
        image_shape: (channels, height, width) of one image.

    Raises:
        UnsupportedError: if the fused engine can't compute the model; the message says why.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise UnsupportedError(
            f"images have the shape {tuple(image_shape)}; the fused engine takes "
            "(channels, height, width), each 1 or more"
        )
    shape = (int(image_shape[0]), int(image_shape[1]), int(image_shape[2]))
    check_modules(model)
    check_parameters(model)
    evaluated = _in_mode(model, shape, training=False)
    try:
        trained = _in_mode(model, shape, training=True)
    except UnsupportedError as error:
        raise UnsupportedError(f"the model behaves differently in train mode: {error}") from error
    if trained.network != evaluated.network or not identical(
        trained.parameters, evaluated.parameters
    ):
        raise UnsupportedError("the model behaves differently in train mode")
    used = {id(parameter) for parameter in evaluated.parameters}
    for name, parameter in model.named_parameters():
        if id(parameter) not in used:
            raise UnsupportedError(f"parameter {name} takes no part in the model's layers")
    return evaluated


def _in_mode(model: nn.Module, shape: tuple[int, int, int], training: bool) -> Recognised:
    """The network of a model in one of its modes."""
    model, graph = trace(model, training)
    walk = Walk(shape)
    for node in graph.nodes:
        walk.visit(node, model)
    return Recognised(*walk.result())
