"""What tracing would not see, and is refused before it."""

from __future__ import annotations

import torch
from torch import nn

from sparring.fused.recognition.hooks import any_global_hook, has_hooks
from sparring.fused.recognition.layers import title
from sparring.fused.recognition.unsupported import UnsupportedError, short


def check_modules(model: nn.Module) -> None:
    """Refuse what tracing would not see: hooks, and calls that don't end in the class's forward."""
    if any_global_hook():
        raise UnsupportedError("a hook is registered for all modules; the fused engine calls none")
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise UnsupportedError(f"{title(name, module)} is compiled by TorchScript")
        if has_hooks(module):
            raise UnsupportedError(f"{title(name, module)} has hooks; the fused engine calls none")
        if type(module).__call__ is not nn.Module.__call__:
            raise UnsupportedError(f"{title(name, module)} has its own __call__")
        for attribute, value in vars(module).items():
            if callable(value) and callable(getattr(type(module), attribute, None)):
                raise UnsupportedError(f"{title(name, module)} has its method {attribute} replaced")


def check_parameters(model: nn.Module) -> None:
    """Refuse parameters that the engine can't read and write as float32 arrays."""
    for name, parameter in model.named_parameters():
        if type(parameter) is not nn.Parameter:
            problem = f"of type {type(parameter).__name__}; the fused engine takes nn.Parameter"
        elif parameter.dtype is not torch.float32:
            problem = f"{short(parameter.dtype)}; the fused engine takes float32"
        elif not parameter.is_cpu:
            problem = f"on {parameter.device}; the fused engine runs on the CPU"
        elif parameter.layout is not torch.strided or not parameter.is_contiguous():
            problem = "not a dense contiguous array"
        elif has_hooks(parameter):
            raise UnsupportedError(f"parameter {name} has hooks; the fused engine calls none")
        else:
            continue
        raise UnsupportedError(f"parameter {name} is {problem}")
