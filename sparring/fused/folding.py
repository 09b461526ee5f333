"""Batch normalisation in eval mode, folded into the layer before it or a layer of its own.

There it is an affine map of each channel, ``gamma (x - mean) / sqrt(var + eps) + beta``, so a
convolution or linear layer with other weights and another bias computes both. Where none stands
before it, the map's two numbers are the weights. They are made anew of the model's present numbers
whenever the kernels' weights are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


def problem_of(norm: BatchNorm) -> str:
    """Why a batch normalisation is no fixed affine map in eval mode; empty if it is one."""
    features = (norm.num_features,)
    tensors = {name: getattr(norm, name) for name in ("running_mean", "running_var")}
    if any(value is None for value in tensors.values()):
        return "has no running statistics: in eval mode, too, it normalises by the batch"
    for name in ("weight", "bias"):
        value = cast("object", getattr(norm, name))
        if value is not None and not isinstance(value, nn.Parameter):
            return f"has a {name} that is not a parameter"
        if value is not None:
            tensors[name] = value
    for name, tensor in tensors.items():
        if tensor.dtype is not torch.float32 or not tensor.is_cpu or tensor.shape != features:
            kind = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
            return f"has a {name} of {kind} on {tensor.device}, not of float32 {features} on cpu"
    return ""


class Folding:
    """The parameters that kernels are to read, of the layers' own and of what is folded into them.

    Args:
        parameters: weight and bias of each layer, None where it has no bias.
        norms: for each layer the batch normalisation that follows it, or that it is, where it has
            no parameters; None where none does.
    """

    def __init__(
        self, parameters: Sequence[Tensor | None], norms: Sequence[BatchNorm | None]
    ) -> None:
        self._parameters = parameters
        self._folded: list[tuple[int, BatchNorm]] = []  # with the place of the layer's weight
        #: As ``parameters``; those of a layer with a batch normalisation are tensors made here.
        self.tensors = list(parameters)
        for number, norm in enumerate(norms):
            weight = parameters[2 * number]
            if norm is not None:
                # A tensor made in inference mode could not be written to outside of it.
                with torch.inference_mode(mode=False):
                    made = (
                        torch.empty(norm.num_features, dtype=torch.float32, device="cpu")
                        if weight is None
                        else torch.empty_like(weight, requires_grad=False)
                    )
                    self.tensors[2 * number : 2 * number + 2] = made, made.new_empty(len(made))
                self._folded.append((2 * number, norm))

    def look(self) -> None:
        """Take all numbers as they are now."""
        if not self._folded:
            return
        with torch.inference_mode(mode=False), torch.no_grad():
            for place, norm in self._folded:
                self._fold(place, norm)

    def _fold(self, place: int, norm: BatchNorm) -> None:
        weight, bias = self._parameters[place : place + 2]
        folded, folded_bias = self.tensors[place : place + 2]
        assert folded is not None
        assert folded_bias is not None
        mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
        # In float64: as many numbers as the layer has channels, and none of them is to be rounded
        # more than once.
        scale = (variance.double() + norm.eps).rsqrt_()
        if norm.weight is not None:
            scale *= norm.weight
        shift = -mean.double() if bias is None else bias - mean.double()
        shift *= scale
        if norm.bias is not None:
            shift += norm.bias
        if weight is None:
            folded.copy_(scale)
        else:
            each = scale.to(weight.dtype).view(-1, *[1] * (weight.dim() - 1))
            torch.mul(weight, each, out=folded)
        folded_bias.copy_(shift)
