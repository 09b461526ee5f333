"""Batch normalisation in eval mode, folded into the layer before it, or behind it, or on its own.

There it is an affine map of each channel, ``gamma (x - mean) / sqrt(var + eps) + beta``, so a
convolution or linear layer with other weights and another bias computes both, and so does the
linear layer behind it. Where none of them takes it, the map's two numbers are the weights. They are
made anew of the model's present numbers whenever the kernels' weights are looked at.
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
        before: for each layer, a linear one, the batch normalisation before it; None where none is.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor | None],
        norms: Sequence[BatchNorm | None],
        before: Sequence[BatchNorm | None],
    ) -> None:
        self._parameters = parameters
        #: With the place of the layer's weight: the normalisations before and behind it.
        self._folded: list[tuple[int, BatchNorm | None, BatchNorm | None]] = []
        #: As ``parameters``; those of a layer with a batch normalisation are tensors made here.
        self.tensors = list(parameters)
        for number, (first, norm) in enumerate(zip(before, norms, strict=True)):
            weight = parameters[2 * number]
            if norm is None and first is None:
                continue
            # A tensor made in inference mode could not be written to outside of it.
            with torch.inference_mode(mode=False):
                if weight is None:
                    assert norm is not None
                    made = torch.empty(norm.num_features, dtype=torch.float32, device="cpu")
                else:
                    made = torch.empty_like(weight, requires_grad=False)
                self.tensors[2 * number : 2 * number + 2] = made, made.new_empty(len(made))
            self._folded.append((2 * number, first, norm))

    def look(self) -> None:
        """Take all numbers as they are now."""
        if not self._folded:
            return
        with torch.inference_mode(mode=False), torch.no_grad():
            for place, first, norm in self._folded:
                self._fold(place, first, norm)

    def _fold(self, place: int, first: BatchNorm | None, norm: BatchNorm | None) -> None:
        weight, bias = self._parameters[place : place + 2]
        folded, folded_bias = self.tensors[place : place + 2]
        assert folded is not None
        assert folded_bias is not None
        if weight is None:
            assert norm is not None
            scale, shift = _map(norm)
            folded.copy_(scale)
            folded_bias.copy_(shift)
            return
        # Biases in float64, so that they are rounded once; not the weights, of which a dense layer
        # may have millions.
        wide = torch.zeros(len(weight), dtype=torch.float64) if bias is None else bias.double()
        folded.copy_(weight)
        if first is not None:
            scale, shift = _map(first)
            wide = wide + weight @ shift.to(weight.dtype)
            folded.mul_(scale.to(weight.dtype))
        if norm is not None:
            scale, shift = _map(norm)
            wide = wide * scale + shift
            folded.mul_(scale.to(weight.dtype).view(-1, *[1] * (weight.dim() - 1)))
        folded_bias.copy_(wide)


def _map(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """What a batch normalisation multiplies by, and adds, in float64."""
    mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    scale = (variance.double() + norm.eps).rsqrt_()
    if norm.weight is not None:
        scale *= norm.weight
    shift = -mean.double() * scale
    if norm.bias is not None:
        shift += norm.bias
    return scale, shift
