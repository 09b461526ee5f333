"""Hooks: PyTorch calls them, the fused engine would not."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor
from torch.nn.modules import module as torch_module


def any_global_hook() -> bool:
    """Whether a hook is registered for all modules."""
    return bool(cast(Any, torch_module)._has_any_global_hook())


def has_hooks(owner: Any) -> bool:
    """Whether a module or a parameter has hooks that a forward or backward pass would call."""
    if isinstance(owner, Tensor):
        return bool(owner._backward_hooks or owner._post_accumulate_grad_hooks)
    return bool(
        owner._forward_hooks
        or owner._forward_pre_hooks
        or owner._backward_hooks
        or owner._backward_pre_hooks
    )
