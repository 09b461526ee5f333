"""Products of a chain of matrices: by threads between products, or by threads inside each.

All ways call the same SGEMM, the one of PyTorch's own library that ``torch.matmul`` calls, so that
they differ in nothing but who calls it when. The first two are the study's ways to use several
threads, in C++ with OpenMP (``cpp/chain.cpp``) as there: a product of two 100 x 100 matrices takes
some ten microseconds, of which Python would take a good part (`python_blocks` shows it).

Source: N. Tumma, R. Mittal and others, "Parallel Adversary Generation for Training Robust Neural
Networks", Harvard CS205, 2022.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kernels.chains import orders as chains
from kernels.chains.orders import Order, Product
from kernels.threads import intra_op
from sparring.errors import SparringError
from sparring.fused.building.build import build
from sparring.fused.machine import machine_isa

SOURCE = Path(__file__).parents[1] / "cpp" / "chain.cpp"

_REASONS = {-2: "OpenMP gave fewer threads than were asked for", -3: "there is no memory for it"}
_VOID, _LONG, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int


class ChainError(SparringError):
    """A chain cannot be multiplied here."""


@dataclass(frozen=True)
class Prepared:
    """One way to multiply a chain, ready to be run again and again.

    Attributes:
        run: gives the whole product, float32 ``(rows of the first, columns of the last)``; the
            next run may write over it.
        order: the products that the last run computed, in an order in which they can be computed.
    """

    run: Callable[[], Tensor]
    order: Callable[[], Order]


class ChainProducts:
    """A chain of matrices that can be multiplied in several ways.

    Args:
        matrices: float32, two-dimensional, contiguous, on the CPU; neighbours fit. They must not
            change while the object lives.

    Raises:
        ValueError: for anything else.
        ChainError: if PyTorch has no SGEMM that can be called, or the kernel cannot be built.
    """

    def __init__(self, matrices: Sequence[Tensor]) -> None:
        for number, matrix in enumerate(matrices):
            good = matrix.dim() == 2 and matrix.dtype == torch.float32 and matrix.is_contiguous()
            if not good or matrix.device.type != "cpu" or not matrix.numel():
                raise ValueError(
                    f"matrix {number} is {matrix.dtype} of shape {tuple(matrix.shape)}; expected a "
                    "contiguous float32 matrix on the CPU"
                )
        if len(matrices) < 2:
            raise ValueError(f"a chain of {len(matrices)}; expected two matrices or more")
        for number, (left, right) in enumerate(itertools.pairwise(matrices)):
            if left.shape[1] != right.shape[0]:
                raise ValueError(f"matrices {number} and {number + 1} do not fit: "
                                 f"{left.shape[1]} columns, {right.shape[0]} rows")  # fmt: skip
        self.matrices = list(matrices)
        self.dims = [int(matrix.shape[0]) for matrix in matrices] + [int(matrices[-1].shape[1])]
        self._library, self._gemm = _library()
        self._count = len(matrices)
        self._dims = (_LONG * len(self.dims))(*self.dims)
        self._pointers = (_VOID * self._count)(*[matrix.data_ptr() for matrix in matrices])

    def in_order(self, order: Sequence[Product], threads: int) -> Prepared:
        """One product after another, each with so many intra-op threads.

        Raises:
            ValueError: if the order has not one product less than there are matrices.
        """
        if len(order) != self._count - 1:
            raise ValueError(f"{len(order)} products for {self._count} matrices")
        numbers = (_LONG * (3 * len(order)))(*[number for product in order for number in product])
        out, fixed = self._empty(), list(order)

        def run() -> Tensor:
            with intra_op(threads):
                self._call("chain_in_order", numbers, out.data_ptr())
            return out

        return Prepared(run, lambda: fixed)

    def blocks(self, threads: int) -> Prepared:
        """A contiguous block of the chain for each thread; then the blocks' products in turn.

        Raises:
            ValueError: if there are fewer matrices than threads.
        """
        starts = (_LONG * (threads + 1))(*chains.block_starts(self._count, threads))
        out = self._empty()

        def run() -> Tensor:
            with intra_op(1):
                self._call("chain_blocks", starts, threads, out.data_ptr())
            return out

        return Prepared(run, lambda: chains.blocks(self._count, threads))

    def queue(self, threads: int) -> Prepared:
        """Threads take pairs of neighbours from a queue as they become free.

        The order is that in which products began in the last run; it depends on timing.

        Raises:
            ValueError: if there are no threads.
        """
        if threads < 1:
            raise ValueError(f"threads is {threads}; expected 1 or more")
        numbers = (_LONG * (3 * (self._count - 1)))()
        out = self._empty()

        def run() -> Tensor:
            with intra_op(1):
                self._call("chain_queue", threads, numbers, out.data_ptr())
            return out

        def order() -> Order:
            found = list(numbers)
            return list(zip(found[::3], found[1::3], found[2::3], strict=True))

        return Prepared(run, order)

    def multi_dot(self, threads: int) -> Prepared:
        """``torch.linalg.multi_dot``, which finds an optimal order by itself in every run.

        The order told is `chains.optimal`'s: as cheap, if not the same.
        """

        def run() -> Tensor:
            with intra_op(threads):
                product: Tensor = torch.linalg.multi_dot(self.matrices)
            return product

        return Prepared(run, lambda: chains.optimal(self.dims))

    def python_blocks(self, threads: int) -> Prepared:
        """As `blocks`, by Python's threads and ``torch.mm``, which releases the interpreter."""
        starts = chains.block_starts(self._count, threads)
        parts = [self.matrices[a:b] for a, b in itertools.pairwise(starts)]

        def run() -> Tensor:
            with intra_op(1), ThreadPoolExecutor(threads, initializer=_one_thread) as pool:
                return _from_left(list(pool.map(_from_left, parts)))

        return Prepared(run, lambda: chains.blocks(self._count, threads))

    def _empty(self) -> Tensor:
        return torch.empty(self.dims[0], self.dims[-1])

    def _call(self, name: str, *arguments: object) -> None:
        function = getattr(self._library, name)
        failed = function(self._gemm, self._count, self._dims, self._pointers, *arguments)
        if failed:
            raise ChainError(f"a chain of {self._count} matrices cannot be multiplied: "
                             f"{_REASONS.get(failed, failed)}")  # fmt: skip


def _one_thread() -> None:
    torch.set_num_threads(1)  # of the pool's own thread; that of the caller is put back


def _from_left(matrices: Sequence[Tensor]) -> Tensor:
    product = matrices[0]
    for matrix in matrices[1:]:
        product = torch.mm(product, matrix)
    return product


@cache
def _library() -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    """The compiled kernel, and the address of PyTorch's SGEMM.

    Raises:
        ChainError: if there is none.
        BuildError: if it cannot be built.
    """
    library = ctypes.CDLL(str(build(SOURCE, {}, {}, machine_isa())))
    signatures: dict[str, list[Any]] = {
        "chain_in_order": [_VOID, _VOID],
        "chain_blocks": [_VOID, _INT, _VOID],
        "chain_queue": [_INT, _VOID, _VOID],
    }
    for name, arguments in signatures.items():
        function = getattr(library, name)
        function.restype = _INT
        function.argtypes = [_VOID, _LONG, _VOID, _VOID, *arguments]
    folder = Path(torch.__file__).parent / "lib"
    for path in sorted(folder.glob("libtorch_cpu.*")):
        try:  # the search goes on in the libraries that it was linked with
            return library, ctypes.cast(ctypes.CDLL(str(path)).sgemm_, _VOID)
        except (OSError, AttributeError):
            continue
    raise ChainError(f"no SGEMM can be called in PyTorch's library in {folder}; expected sgemm_ "
                     "in libtorch_cpu or in what it is linked with")  # fmt: skip
