"""An elementwise optimizer on flat weights: the user's own arithmetic, and as few calls as can be.

What such an optimizer makes of a weight depends on that weight, its gradient and its own past, so
weights need no shapes. A twin of the user's optimizer steps on flat views; the user's takes its
state over when somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RAdam, RMSprop
from torch.optim import optimizer as torch_optimizer

from sparring.fused.packed import PackedSpace

#: Optimizers whose step is elementwise, whatever their options are.
ELEMENTWISE = frozenset({SGD, Adam, AdamW, RMSprop, Adagrad, Adamax, NAdam, RAdam})


def elementwise(optimizer: Optimizer) -> bool:
    """Whether a step of flat weights is a step of the optimizer: nobody else has a hand in it."""
    hooks = (
        optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks,
        torch_optimizer._global_optimizer_pre_hooks, torch_optimizer._global_optimizer_post_hooks,
    )  # fmt: skip
    # A schedule of PyTorch's wraps the step to see that it was taken; anybody else replaces it.
    own = "step" not in vars(optimizer) or hasattr(optimizer.step, "_wrapped_by_lr_sched")
    return (
        type(optimizer) in ELEMENTWISE
        and own
        and not any(hooks)
        # Without epsilon, what lies between the parameters would be 0 / 0.
        and all(group.get("eps", 1.0) > 0.0 for group in optimizer.param_groups)
        and not any(
            group.get(name) for group in optimizer.param_groups
            for name in ("differentiable", "capturable")
        )
    )  # fmt: skip


class MixedStateError(Exception):
    """Parameters of one group have different pasts."""


class FlatOptimizer:
    """The twin of an elementwise optimizer, for parameters that stand in a packed space.

    Args:
        optimizer: the user's; its options are read at every step.
        space: where parameters stand.
        parameters: in the space's order.
        trained: ids of those that have gradients.

    Attributes:
        rows: the optimizer's state by name, packed as the weights are.

    Raises:
        MixedStateError: if the optimizer cannot have a twin.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        space: PackedSpace,
        parameters: Sequence[nn.Parameter | None],
        trained: set[int],
    ) -> None:
        self._optimizer, self._space, self._parameters = optimizer, space, parameters
        place = {id(p): k for k, p in enumerate(parameters) if p is not None and id(p) in trained}
        #: For each of the user's groups its runs: numbers of parameters that stand side by side.
        self._runs = [
            _runs(sorted(place[id(p)] for p in group["params"] if id(p) in place))
            for group in optimizer.param_groups
        ]
        self.rows: dict[str, Tensor] = {}
        self._single: dict[int, dict[str, Any]] = {}  # by a run's first parameter
        self._import()
        self._known: dict[int, dict[str, Tensor]] = {}

    def names(self) -> list[str]:
        """Names of the state's rows after a step with the present options."""
        found = set(self.rows)
        for options in self._options():
            weight = nn.Parameter(torch.zeros(2, dtype=torch.float32, device="cpu"))
            probe = self._make([{**options, "params": [weight]}])
            weight.grad = torch.zeros_like(weight)
            probe.step()
            found |= {
                name
                for name, value in probe.state[weight].items()
                if isinstance(value, Tensor) and value.dim() == 1
            }
        return sorted(found)

    def settle(self, weights: Tensor, part: slice, row: Callable[[str], Tensor]) -> None:
        """Step on this part of these weights from now on, and keep the state in these rows."""
        self._keep_singles()
        for name, old in self.rows.items():
            new = row(name)
            if new.data_ptr() != old.data_ptr():
                self.rows[name] = new
        self._row = row
        groups, self._flat = [], []
        for options, runs in zip(self._options(), self._runs, strict=True):
            params = []
            for run in runs:
                # Empty where the part has nothing of a run: its steps are counted all the same.
                a = max(part.start, self._space.segments[run[0]].start)
                b = max(a, min(part.stop, self._space.segments[run[-1]].stop))
                params.append(nn.Parameter(weights[a:b]))
                self._flat.append((params[-1], slice(a, b), run[0]))
            groups.append({**options, "params": params})
        self._twin = self._make(groups)
        self._known = {}
        for flat, place, first in self._flat:
            state = self._twin.state[flat]
            if first not in self._single:
                continue
            state.clear()
            state.update(self._single[first])
            for name, values in self.rows.items():
                state[name] = values[place]
        self._adopt()

    def step(self, gradients: Tensor) -> None:
        """One step with packed gradients, on what `settle` named."""
        for group, users in zip(self._twin.param_groups, self._optimizer.param_groups, strict=True):
            group.update((name, value) for name, value in users.items() if name != "params")
        for flat, place, _ in self._flat:
            flat.grad = gradients[place]
        self._twin.step()
        for flat, _, _ in self._flat:
            flat.grad = None
        self._adopt()
        self._optimizer._opt_called = True  # type: ignore[attr-defined]  # for PyTorch's schedules

    def export(self) -> None:
        """Put the state where the user's optimizer has it."""
        self._keep_singles()
        for run in (run for runs in self._runs for run in runs):
            for number in run if run[0] in self._single else ():
                state = self._optimizer.state[self._parameter(number)]
                for name, value in self._single[run[0]].items():
                    state[name] = value.clone() if isinstance(value, Tensor) else value
        for name, packed in self.rows.items():
            tensors: list[Tensor | None] = [None] * len(self._parameters)
            for number in (number for runs in self._runs for run in runs for number in run):
                parameter = self._parameter(number)
                state = self._optimizer.state[parameter]
                if name not in state or not state[name].is_contiguous():
                    state[name] = torch.empty_like(parameter, requires_grad=False)
                tensors[number] = state[name]
            self._space.unpack(packed, tensors)

    def _parameter(self, number: int) -> nn.Parameter:
        parameter = self._parameters[number]
        assert parameter is not None
        return parameter

    def _make(self, groups: list[dict[str, Any]]) -> Optimizer:
        make: Any = type(self._optimizer)
        return cast(Optimizer, make(groups))

    def _options(self) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in group.items() if name != "params"}
            for group in self._optimizer.param_groups
        ]

    def _import(self) -> None:
        """Take the user's state over."""
        tensors: dict[str, list[Tensor | None]] = {}
        for runs in self._runs:
            for run in runs:
                pasts = [self._optimizer.state.get(self._parameter(number), {}) for number in run]
                single: dict[str, Any] = {}
                for number, past in zip(run, pasts, strict=True):
                    if past.keys() != pasts[0].keys():
                        raise MixedStateError
                    for name, value in past.items():
                        shape = self._parameter(number).shape
                        if isinstance(value, Tensor) and value.shape == shape:
                            if value.dtype != torch.float32:
                                raise MixedStateError
                            row = tensors.setdefault(name, [None] * len(self._parameters))
                            row[number] = value.contiguous()
                        elif isinstance(value, Tensor) and value.dim() > 0:
                            raise MixedStateError
                        elif number == run[0]:
                            single[name] = value.clone() if isinstance(value, Tensor) else value
                        elif bool(value != single.get(name)):
                            raise MixedStateError
                if pasts[0]:
                    self._single[run[0]] = single
        for name, values in tensors.items():
            self.rows[name] = self._space.zeros()
            self._space.pack(values, self.rows[name])

    def _keep_singles(self) -> None:
        """Remember what the twin has one of for a whole run, such as its count of steps."""
        if not self._known:
            return
        for flat, _, first in self._flat:
            if state := self._twin.state[flat]:
                self._single[first] = {
                    name: value for name, value in state.items() if name not in self.rows
                }

    def _adopt(self) -> None:
        """Keep in rows what the twin made of the weights' shape."""
        for flat, place, first in self._flat:
            known = self._known.setdefault(first, {})
            state = self._twin.state[flat]
            for name, value in state.items():
                if known.get(name) is value or not isinstance(value, Tensor):
                    continue
                if value.shape == flat.shape and value.dim() == 1:
                    if name not in self.rows:
                        self.rows[name] = self._row(name)
                    view = self.rows[name][place]
                    if view.data_ptr() != value.data_ptr():
                        view.copy_(value)
                    state[name] = known[name] = view


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Sorted numbers, in runs without a gap."""
    runs: list[list[int]] = []
    for before, number in pairwise([-2, *numbers]):
        if number == before + 1 and runs:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs
