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
    "engine_load": (_INT, [_VOID, _VOID]),
    "engine_attack": (
        _INT,
        [_VOID, _VOID, _VOID, _VOID, _VOID, _LONG, _LONG, ctypes.POINTER(Settings), _INT],
    ),
    "engine_input_gradient": (_INT, [_VOID, _VOID, _VOID, _VOID, _LONG, _INT, _INT]),
    "engine_logits": (_INT, [_VOID, _VOID, _VOID, _LONG, _INT]),
    "engine_gradients": (
        _INT,
        [_VOID, _VOID, _VOID, _LONG, _FLOAT, _VOID, ctypes.POINTER(ctypes.c_double), _INT],
    ),
}


class Library:
    """One layout of one network's kernel, with weights of its own.

    Tensors are float32 (labels int64), contiguous, on the CPU; the caller sees to it. Calls
    release the interpreter's lock; no two may overlap.

    Args:
        path: the shared library.

    Raises:
        OSError: if it cannot be loaded.
        MemoryError: if there is no room for the network's weights.
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
        #: Images that the kernel takes at a time.
        self.block = int(self._lib.engine_block())

    def load(self, tensors: Sequence[Tensor | None]) -> int:
        """Take the layers' weights and biases; returns how many layers had changed."""
        return int(self._lib.engine_load(self._engine, _pointers(tensors)))

    def attack(
        self,
        start: Tensor,
        centre: Tensor,
        labels: Tensor,
        out: Tensor,
        settings: Settings,
        steps: int,
        threads: int,
    ) -> None:
        """``steps`` attack steps from ``start``, images ``(n, channels, height, width)``."""
        self._check(
            self._lib.engine_attack(
                self._engine, start.data_ptr(), centre.data_ptr(), labels.data_ptr(),
                out.data_ptr(), len(start), steps, settings, threads,
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
        out: Sequence[Tensor | None],
        threads: int,
    ) -> float:
        """Add ``scale`` times the gradient of the summed cross-entropy to ``out``, in `load`'s order.

        Returns the summed cross-entropy, unscaled.
        """  # noqa: E501
        loss = ctypes.c_double()
        self._check(
            self._lib.engine_gradients(
                self._engine, x.data_ptr(), labels.data_ptr(), len(x), scale, _pointers(out),
                loss, threads,
            )
        )  # fmt: skip
        return loss.value

    @staticmethod
    def _check(failed: int) -> None:
        if failed:
            raise MemoryError("no memory for the fused engine's images")


def _pointers(tensors: Sequence[Tensor | None]) -> ctypes.Array[ctypes.c_void_p]:
    return (_VOID * len(tensors))(*[None if t is None else t.data_ptr() for t in tensors])
