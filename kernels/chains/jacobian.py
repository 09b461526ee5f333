"""The study network's input gradient by hand: a row of gradients times Jacobians, layer by layer.

    loss * l2 * l1_relu * conv2_relu * conv1_relu
    (1 x 10) (10 x 50) (50 x 8000) (8000 x 5760) (5760 x 784)     at 28 x 28 pixels

A layer's Jacobian is its matrix with the rows of dead ReLUs set to zero; a convolution's matrix is
the doubly blocked Toeplitz matrix of `kernels.declarations.toeplitz`, dense or sparse. From the
left this is backpropagation: a ReLU is then a mask on a row, the same matrices serve all images of
a batch, and nothing has to be built for an image. `Jacobians.explicit` builds what the study's
chain products take: the masked matrices of one image.

The loss is the study's, ``sum_j z_j - 2 z_y`` of the logits z, whose gradient is constant.

Source: N. Tumma, R. Mittal and others, "Parallel Adversary Generation for Training Robust Neural
Networks", Harvard CS205, 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kernels.counts.work import FLOAT
from kernels.declarations.study import network
from kernels.declarations.toeplitz import dense_matrix, matrix, matrix_entries
from sparring.fused.network import Network

_INDEX = 4  # bytes of a column's number in a sparse matrix
#: A product with images in rows: (n, inputs) to (n, outputs).
Multiply = Callable[[Tensor], Tensor]


def loss_gradient(labels: Tensor, classes: int = 10) -> Tensor:
    """The gradient of the study's loss by the logits, float32 ``(n, classes)``."""
    ones = torch.ones(len(labels), classes)
    return ones.scatter_(1, labels[:, None], -1.0)


class Jacobians:
    """The layers of a network of given weights as matrices.

    Building them is the work of this constructor; they serve until the weights change.

    Args:
        weights: weight and bias of both convolutions and both linear layers, float32, on the CPU.
        size: rows and columns of an image.
        sparse: whether convolutions are sparse matrices; they use one thread.

    Raises:
        ValueError: if there are not eight tensors.
    """

    def __init__(self, weights: Sequence[Tensor], size: int = 28, *, sparse: bool = False) -> None:
        if len(weights) != 8:
            raise ValueError(f"{len(weights)} tensors; expected weight and bias of four layers")
        self.layers, self.sparse = network(size), sparse
        self._biases: list[Tensor] = []
        self._matrices: list[Any] = []  # torch's, or SciPy's sparse ones
        for conv, w, b in zip(
            self.layers.convolutions, weights[0:4:2], weights[1:4:2], strict=True
        ):
            made = matrix(w.detach(), conv)
            self._matrices.append(made if sparse else dense_matrix(made))
            self._biases.append(b.detach().repeat_interleave(conv.conv_height * conv.conv_width))
        self._matrices += [w.detach() for w in weights[4::2]]
        self._biases += [b.detach() for b in weights[5::2]]
        self._forward = [_forward(made) for made in self._matrices]
        self._backward = [_backward(made) for made in self._matrices]

    @classmethod
    def of(cls, model: nn.Module, *, sparse: bool = False) -> Jacobians:
        """Of a ``StudyCNN``, or a module with the same parameters in the same order."""
        return cls(list(model.parameters()), sparse=sparse)

    def masks(self, x: Tensor) -> list[Tensor]:
        """Which units are alive, for each layer with a ReLU: bool ``(n, units)``."""
        masks, value = [], x.reshape(len(x), -1)
        for multiply, bias in zip(self._forward[:-1], self._biases[:-1], strict=True):
            value = multiply(value).add_(bias)
            masks.append(value > 0)
            value = value.clamp_(min=0)
        return masks

    def input_gradient(self, x: Tensor, labels: Tensor) -> Tensor:
        """The gradient of each image's loss by its pixels, in the shape of ``x``.

        Args:
            x: images, float32 ``(n, 1, size, size)``.
            labels: int64 ``(n,)``.
        """
        masks = self.masks(x)
        gradient = self._backward[-1](loss_gradient(labels, self.layers.classes))
        for multiply, mask in zip(self._backward[-2::-1], masks[::-1], strict=True):
            gradient = multiply(gradient.mul_(mask))
        return gradient.view(x.shape)

    def explicit(self, x: Tensor, labels: Tensor) -> list[Tensor]:
        """The chain of one image, dense and masked, from the loss to the first layer.

        Raises:
            ValueError: for more than one image, or sparse matrices.
        """
        if len(x) != 1 or self.sparse:
            raise ValueError(f"{len(x)} images, sparse: {self.sparse}; expected one image and "
                             "dense matrices")  # fmt: skip
        masked = [
            made * mask[0, :, None]
            for made, mask in zip(self._matrices[:-1], self.masks(x), strict=True)
        ]
        return [loss_gradient(labels, self.layers.classes), self._matrices[-1], *masked[::-1]]


def _forward(made: Any) -> Multiply:
    if isinstance(made, Tensor):
        return lambda rows: rows @ made.T
    return lambda rows: torch.from_numpy((made @ rows.T.numpy()).T)


def _backward(made: Any) -> Multiply:
    if isinstance(made, Tensor):
        return lambda rows: rows @ made
    transposed = made.T.tocsr()
    return lambda rows: torch.from_numpy((transposed @ rows.T.numpy()).T)


def entries(layers: Network, *, dense: bool) -> int:
    """Numbers of all matrices: each is a multiply-add of an image, forward and again backward."""
    inside = sum(matrix_entries(conv, dense) for conv in layers.convolutions)
    return inside + sum(layer.weights for layer in layers.dense)


def flops(layers: Network, *, dense: bool) -> float:
    """Operations of one image's input gradient; sparse is the direct algorithm's number."""
    return 4.0 * entries(layers, dense=dense)


def matrix_bytes(layers: Network, *, dense: bool) -> int:
    """Bytes of the convolutions' matrices; sparse ones are kept in both directions."""
    inside = sum(matrix_entries(conv, dense) for conv in layers.convolutions)
    return inside * FLOAT if dense else 2 * inside * (FLOAT + _INDEX)
