"""Which PyTorch models the fused engine can compute, and as which `Network`.

The model's forward is traced by torch.fx, in eval and in train mode, and the graph is walked as one
chain of layers. What is not understood is refused with a reason: a wrong guess would train another
network than the user's. Attacks run models in eval mode, so one that does something else in train
mode is understood all the same, and its updates are not the engine's. Nothing is guessed from a
class's name, so any module whose forward amounts to such a chain is recognised.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from torch import nn

from sparring.fused.folding import BatchNorm, Folding
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
            None where a layer has no bias. They are the model's own objects.
        norms: for each layer the model's batch normalisation that follows it, None where none
            does. In eval mode it is an affine map, which is part of the layer (`Folding`).
        norms_before: the same of those that come before a layer.
        only_attacks: why these layers are not what updates need; empty if they are.
    """

    network: Network
    parameters: tuple[nn.Parameter | None, ...]
    norms: tuple[BatchNorm | None, ...]
    norms_before: tuple[BatchNorm | None, ...]
    only_attacks: str = ""

    def folding(self) -> Folding:
        """The numbers that kernels are to read, of the model's own."""
        return Folding(self.parameters, self.norms, self.norms_before)


def recognise(model: nn.Module, image_shape: tuple[int, ...]) -> Recognised:
    """The network that a model computes, with the parameters from which it computes it.

    The model is left as it was, and other threads may run models meanwhile. What the forward reads
    from outside the model is taken as it is now.

    Args:
        model: from images ``(n, *image_shape)`` to logits.
        image_shape: (channels, height, width) of one image, or (features,).

    Raises:
        UnsupportedError: if the fused engine can't compute the model; the message says why.
    """
    shape = tuple(map(int, image_shape))
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise UnsupportedError(
            f"images have the shape {shape}; the fused engine takes (channels, height, width) or "
            "(features,), each 1 or more"
        )
    check_modules(model)
    check_parameters(model)
    evaluated = _in_mode(model, shape, training=False)
    used = {id(parameter) for parameter in evaluated.parameters}
    for norm in (*evaluated.norms, *evaluated.norms_before):
        used |= set() if norm is None else set(map(id, norm.parameters()))
    for name, parameter in model.named_parameters():
        if id(parameter) not in used:
            raise UnsupportedError(f"parameter {name} takes no part in the model's layers")
    return replace(evaluated, only_attacks=_difference(model, evaluated))


def _difference(model: nn.Module, evaluated: Recognised) -> str:
    """What a model does otherwise in train mode, in a sentence; empty if nothing."""
    try:
        trained = _in_mode(model, evaluated.network.shape, training=True)
    except UnsupportedError as error:
        return f"the model behaves differently in train mode: {error}"
    same = trained.network == evaluated.network and identical(
        trained.parameters, evaluated.parameters
    )
    return "" if same else "the model behaves differently in train mode"


def _in_mode(model: nn.Module, shape: tuple[int, ...], training: bool) -> Recognised:
    """The network of a model in one of its modes."""
    traced, graph = trace(model, training)
    walk = Walk(shape)
    for node in graph.nodes:
        walk.visit(node, traced)
    network, chain = walk.result()
    originals = dict(zip(traced.modules(), model.modules(), strict=True))
    norms, before = (
        tuple(None if norm is None else cast("BatchNorm", originals[norm]) for norm in some)
        for some in (chain.norms, chain.norms_before)
    )
    return Recognised(network, tuple(chain.parameters), norms, before)
