"""All kernels, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from kernels.declarations import convolution, linear, relu, whole
from kernels.declarations.kernel import Kernel
from sparring.errors import SparringError, did_you_mean

KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        kernel.name: kernel
        for module in (convolution, linear, relu, whole)
        for kernel in module.kernels()
    }
)
VARIANTS: tuple[str, ...] = tuple(
    dict.fromkeys(name for kernel in KERNELS.values() for name in kernel.variants)
)


def chosen(names: Iterable[str]) -> list[Kernel]:
    """Kernels of those names, or whose names begin with one of them and a line; all, of none.

    ``conv2`` are ``conv2_forward``, ``conv2_backward_input`` and ``conv2_backward_weights``.

    Raises:
        SparringError: if there is none of such a name.
    """
    names = list(names)
    for wanted in names:
        if not any(_meant(wanted, name) for name in KERNELS):
            raise SparringError(
                f"kernel {wanted!r} is not known; expected {', '.join(KERNELS)}"
                f"{did_you_mean(wanted, KERNELS)}"
            )
    return [
        kernel
        for name, kernel in KERNELS.items()
        if not names or any(_meant(wanted, name) for wanted in names)
    ]


def _meant(wanted: str, name: str) -> bool:
    return name == wanted or name.startswith(f"{wanted}_")
