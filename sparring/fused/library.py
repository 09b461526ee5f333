"""A compiled kernel, called through its plain C interface (``cpp/engine.cpp``)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize

if TYPE_CHECKING:
    from torch import Tensor

_VOID, _LONG, _INT, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_float


class Settings(ctypes.Structure):
    """One step of an attack, as ``cpp/ascent.hpp`` declares it."""

    _fields_ = (
        ("rule", ctypes.c_int32),
        ("objective", ctypes.c_int32),
        ("step", _FLOAT),
        ("epsilon", _FLOAT),
        ("low", _FLOAT),
        ("high", _FLOAT),
    )


_SIGNATURES = {
    "engine_create": (_VOID, []),
    "engine_destroy": (None, [_VOID]),
    "engine_block": (_INT, []),
    "engine_packed_size": (_LONG, []),
    "engine_segments": (None, [_VOID]),
    "engine_pack": (None, [_VOID, _VOID]),
    "engine_unpack": (None, [_VOID, _VOID]),
    "engine_repack": (_INT, [_VOID, _VOID, _VOID]),
    "engine_use": (None, [_VOID, _VOID]),
    "engine_attack": (
        _INT,
        [_VOID, _VOID, _VOID, _VOID, _VOID, _LONG, _LONG, ctypes.POINTER(Settings), _INT],
    ),
    "engine_input_gradient": (_INT, [_VOID, _VOID, _VOID, _VOID, _LONG, _INT, _INT]),
    "engine_logits": (_INT, [_VOID, _VOID, _VOID, _LONG, _INT]),
    "engine_gradients": (
        _INT,
        [
            _VOID,
            _VOID,
            _VOID,
            _LONG,
            _FLOAT,
            _VOID,
            _INT,
            _LONG,
            ctypes.POINTER(ctypes.c_double),
            _INT,
        ],
    ),
    "engine_factor_room": (_LONG, []),
    "engine_factor_size": (_LONG, []),
    "engine_add_ranks": (_INT, [_VOID, _VOID, _INT, _LONG, _LONG, _VOID, _INT]),
}


_NO_MEMORY, _NO_CLASS, _MARKED, _LEFT_OUT = 1, 2, 3, 4


class LabelError(ValueError):
    """A label is none of the network's classes."""


class Library:
    """One layout of one network's kernel.

    Tensors are float32 (labels int64), contiguous, on the CPU; the caller sees to it. Calls
    release the interpreter's lock; no two may overlap.

    Weights are read, and their gradients written, in the packed space (``cpp/packed.hpp``), flat
    tensors of `packed_size` numbers. It is the same for every layout of a network. The parameters
    of a model are the layers' weights and biases in the layers' order, None for no bias.

    Attributes:
        block: images that the kernel takes at a time.
        packed_size: numbers in the packed space.
        factor_room: images whose factors `gradients` can write to one; 0 if no layer has any.
        factor_size: numbers of one image's.
        segments: where each parameter's part of it begins, and where the last ends.

    Args:
        path: the shared library.

    Raises:
        OSError: if it cannot be loaded.
        MemoryError: if there is no room for the network's weights; calls raise it for images.
        LabelError: from calls that take labels, before anything is done.
    """

    def __init__(self, path: Path) -> None:
        self._lib = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._lib, name)
            function.restype, function.argtypes = result, arguments
        self._engine = self._lib.engine_create()
        if not self._engine:
            raise MemoryError("no memory for the fused engine's weights")
        finalize(self, self._lib.engine_destroy, self._engine)
        self.block = int(self._lib.engine_block())
        self.packed_size = int(self._lib.engine_packed_size())
        self.factor_room = int(self._lib.engine_factor_room())
        self.factor_size = int(self._lib.engine_factor_size())

    def segments(self, count: int) -> list[int]:
        """Where each of ``count`` parameters' segments begins, and where the last ends."""
        found = (_LONG * (count + 1))()
        self._lib.engine_segments(found)
        return list(found)

    def pack(self, tensors: Pointers, packed: Tensor) -> None:
        """Write parameters to the packed space, and zeros between them."""
        self._lib.engine_pack(tensors, packed.data_ptr())

    def unpack(self, packed: Tensor, tensors: Pointers) -> None:
        """Write parameters from the packed space to tensors of their own."""
        self._lib.engine_unpack(packed.data_ptr(), tensors)

    def repack(self, tensors: Pointers, seen: Tensor, packed: Tensor) -> int:
        """`pack` those parameters whose bits have changed since the last call; returns how many.

        ``seen`` has the packed space's size; it and ``packed`` begin as zeros.
        """
        return int(self._lib.engine_repack(tensors, seen.data_ptr(), packed.data_ptr()))

    def use(self, packed: Tensor) -> None:
        """Read weights from ``packed`` until the next call; to be called when they have changed.

        The caller keeps the tensor alive.
        """
        self._lib.engine_use(self._engine, packed.data_ptr())

    def attack(
        self,
        start: Tensor,
        centre: Tensor,
        labels: Tensor,
        out: Tensor,
        settings: Settings,
        steps: int,
        threads: int,
    ) -> bool:
        """``steps`` attack steps from ``start``, images ``(n, channels, height, width)``.

        Returns whether some image is marked, by pixels that are no numbers: its gradient was not
        finite.
        """
        return self._check(
            self._lib.engine_attack(
                self._engine, start.data_ptr(), centre.data_ptr(), labels.data_ptr(),
                out.data_ptr(), start.shape[0], steps, settings, threads,
            )
        )  # fmt: skip

    def input_gradient(
        self, x: Tensor, labels: Tensor, out: Tensor, objective: int, threads: int
    ) -> None:
        """The gradient of each image's objective by the image, in the shape of ``x``."""
        self._check(
            self._lib.engine_input_gradient(
                self._engine, x.data_ptr(), labels.data_ptr(), out.data_ptr(), len(x), objective,
                threads,
            )
        )  # fmt: skip

    def logits(self, x: Tensor, out: Tensor, threads: int) -> None:
        """Logits ``(n, classes)``."""
        self._check(
            self._lib.engine_logits(self._engine, x.data_ptr(), out.data_ptr(), len(x), threads)
        )

    def gradients(
        self,
        x: Tensor,
        labels: Tensor,
        scale: float,
        out: Tensor,
        threads: int,
        *,
        add: bool = False,
        factors: int = -1,
    ) -> float:
        """Write ``scale`` times the gradient of the summed cross-entropy to the packed ``out``.

        Or ``add`` it. Returns the summed cross-entropy, unscaled. From 0, ``factors`` is the number
        in ``out`` of the first image's factors, which large dense layers write in their gradient's
        place (``cpp/factors.hpp``): `factor_room` images at most.
        """
        loss = ctypes.c_double()
        self._check(
            self._lib.engine_gradients(
                self._engine, x.data_ptr(), labels.data_ptr(), len(x), scale, out.data_ptr(), add,
                factors, loss, threads,
            )
        )  # fmt: skip
        return loss.value

    def add_ranks(
        self, ranks: Pointers, factors: Sequence[int], part: slice, out: Tensor, threads: int
    ) -> None:
        """Write to ``out[part]`` the sum of what `gradients` wrote to packed spaces.

        Args:
            ranks: the packed spaces.
            factors: images that each has in factors, from its first; -1 for gradients.
            part: its start is a multiple of 16.
            out: packed.
            threads: that add.
        """
        counts = (_LONG * len(factors))(*factors)
        self._check(
            self._lib.engine_add_ranks(
                ranks, counts, len(factors), part.start, part.stop, out.data_ptr(), threads
            )
        )

    @staticmethod
    def _check(outcome: int) -> bool:
        """Whether an image is marked; see ``Outcome`` in ``cpp/engine.cpp``."""
        if outcome == _NO_MEMORY:
            raise MemoryError("no memory for the fused engine's images")
        if outcome == _NO_CLASS:
            raise LabelError
        if outcome == _LEFT_OUT:
            raise ValueError("this kernel was compiled for attacks alone")
        return outcome == _MARKED


#: Addresses of a model's parameters, or of tensors like them; see `pointers`.
Pointers = ctypes.Array[ctypes.c_void_p]


def pointers(tensors: Sequence[Tensor | None]) -> Pointers:
    """The addresses of contiguous tensors, which the caller keeps alive."""
    return (_VOID * len(tensors))(*[None if t is None else t.data_ptr() for t in tensors])
