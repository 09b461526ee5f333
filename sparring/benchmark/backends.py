"""The one place that knows whether attacks have backends."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import Tensor, nn

from sparring.attacks import PGD
from sparring.attacks.base import Attack

AnyAttack = TypeVar("AnyAttack", bound=Attack)


def supported(kind: type[Attack] = PGD) -> bool:
    """Whether this version's attack can choose a backend."""
    return "backend" in getattr(kind, "__dataclass_fields__", {})


def build(kind: type[AnyAttack], backend: str, **settings: Any) -> AnyAttack:
    """An attack with the backend ``"torch"``, ``"fused"`` or ``"auto"``.

    Raises:
        ValueError: if this version has no other backend than PyTorch and another is demanded.
    """
    if supported(kind):
        settings["backend"] = backend
    elif backend == "fused":
        raise ValueError(f"{kind.__name__} has no fused backend in this version of Sparring")
    return kind(**settings)


def used(attack: Attack, model: nn.Module, x: Tensor) -> str:
    """The backend that runs this attack on this model and these images."""
    backend = str(getattr(attack, "backend", "torch"))
    if backend != "auto":
        return backend
    from sparring.backends import engine_for

    return "torch" if engine_for(backend, model, x) is None else "fused"
