"""Hooks: PyTorch calls them, the fused engine would not."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn
from torch.nn.modules import module as torch_module


def any_global_hook() -> bool:
    """Whether a hook is registered for all modules."""
    return bool(cast(Any, torch_module)._has_any_global_hook())


def has_hooks(owner: nn.Module | Tensor) -> bool:
    """Whether a module or a parameter has hooks that a forward or backward pass would call."""
    if isinstance(owner, nn.Module):
        kept = owner.__dict__  # to ask the module itself takes longer
        return bool(
            kept["_forward_hooks"]
            or kept["_forward_pre_hooks"]
            or kept["_backward_hooks"]
            or kept["_backward_pre_hooks"]
        )
    return bool(owner._backward_hooks or owner._post_accumulate_grad_hooks)
