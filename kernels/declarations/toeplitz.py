"""Convolution as one matrix for the whole image: doubly blocked Toeplitz, dense or sparse.

Row (o, y, x) of T holds the kernel's weights at the input pixels under output pixel (y, x):
forward is T X, backward to the input Tᵀ dY, with an image in each column. Of T's o r² x i s²
numbers only 25 i in a row are not zero; dense, the zeros are multiplied as well.

T is made once, before the time counts, and images stand in columns already. Backward to the
weights would compute all of dY Xᵀ to keep few of its numbers: there is no such variant.

Source: R. M. Gray, "Toeplitz and Circulant Matrices: A Review", Foundations and Trends in
Communications and Information Theory 2(3), 2006.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from kernels.counts.work import FLOAT
from kernels.declarations.kernel import Case, Inputs, Prepared, Variant
from sparring.fused.network import Convolution

#: Of a column's number in the sparse matrix.
_INDEX = 4


def matrix(w: Tensor, conv: Convolution) -> Any:
    """T as ``scipy.sparse.csr_array``, float32; no padding."""
    o, i, k = conv.out_channels, conv.in_channels, conv.kernel
    tall, wide = conv.conv_height, conv.conv_width
    y, x, c, ky, kx = np.ogrid[:tall, :wide, :i, :k, :k]  # the same in each output channel
    columns = ((c * conv.height + y + ky) * conv.width + x + kx).astype(np.int32)
    shape = (o, tall, wide, i, k, k)
    values = np.broadcast_to(w.numpy()[:, None, None], shape).ravel()
    starts = np.arange(o * tall * wide + 1, dtype=np.int32) * (i * k * k)
    return sparse.csr_array(
        (values, np.broadcast_to(columns, shape).ravel(), starts),
        (o * tall * wide, i * conv.height * conv.width),
    )


def dense_matrix(found: Any) -> Tensor:
    """The dense matrix of a sparse one, with memory behind its zeros, too.

    ``toarray()`` alone takes memory that the kernel promises to be zero: a page that nobody
    writes is then the one page of zeros that all processes share, which stays in a cache, and
    the product would read fewer bytes from memory than its matrix has.
    """
    return torch.from_numpy(found.toarray(out=np.empty(found.shape, found.dtype)))


def variants(layer: Callable[[Case], Convolution], direction: str) -> dict[str, Variant]:
    """``toeplitz_dense`` and ``toeplitz_sparse``, of the directions that have them."""
    if direction == "backward_weights":
        return {}

    def prepared(given: Inputs, case: Case, dense: bool) -> Prepared:
        conv, n = layer(case), case.batch_size
        found = matrix(given["w"], conv)
        if direction == "forward":
            source, shape = given["x"], (n, conv.out_channels, conv.conv_height, conv.conv_width)
            bias = given["b"].repeat_interleave(conv.conv_height * conv.conv_width)[:, None]
        else:
            source, shape = given["dy"], (n, conv.in_channels, conv.height, conv.width)
            found, bias = found.T.tocsr(), torch.zeros(1)
        columns = source.reshape(n, -1).T.contiguous()
        moved = FLOAT * (n * sum(found.shape) + (len(bias) if direction == "forward" else 0))
        entries = matrix_entries(conv, dense)
        size = entries * (FLOAT if dense else FLOAT + _INDEX) + moved
        size += 0 if dense else _INDEX * (found.shape[0] + 1)
        multiply: Callable[[], Tensor]
        if dense:
            whole = dense_matrix(found)
            multiply = lambda: whole @ columns  # noqa: E731
        else:
            array = columns.numpy()
            multiply = lambda: torch.from_numpy(found @ array)  # noqa: E731
        run = (lambda: multiply().add_(bias)) if direction == "forward" else multiply
        return Prepared(run, 2.0 * entries * n, size, lambda y: (y.T.reshape(shape),))

    def memory(case: Case, dense: bool) -> float:
        size = matrix_entries(layer(case), dense)
        sparse_size = (FLOAT + _INDEX) * matrix_entries(layer(case), False)
        return float(FLOAT * size + 2 * sparse_size if dense else 3 * sparse_size)

    return {
        "toeplitz_dense": Variant(
            lambda given, case: prepared(given, case, True), lambda case: memory(case, True)
        ),
        "toeplitz_sparse": Variant(
            lambda given, case: prepared(given, case, False),
            lambda case: memory(case, False),
            most_threads=1,
        ),
    }


def matrix_entries(conv: Convolution, dense: bool) -> int:
    """Numbers of T that are stored: each is a multiply-add of an image."""
    rows = conv.out_channels * conv.conv_height * conv.conv_width
    across = conv.height * conv.width if dense else conv.kernel**2
    return rows * conv.in_channels * across
