"""Which networks the engine serves, and what that is worth: attacks beside PyTorch's, in turns."""

from __future__ import annotations

import importlib
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from statistics import median

import torch
from torch import nn

from sparring.attacks.validation import check_logits_shape
from sparring.backends import BackendError, engine_of
from sparring.benchmark.competitors import BUILDERS
from sparring.benchmark.machine import cpu_model
from sparring.benchmark.plan import Numbers
from sparring.benchmark.worker import AbsentError
from sparring.compute.misfit import answer, as_written
from sparring.errors import SparringError, sentence
from sparring.fused import precision
from sparring.fused.engine import Engine
from sparring.logits import ModelError, logits_of
from sparring.tables import Row, Value

COLUMNS = (
    "network", "input_shape", "parameters", "attacks", "updates", "reason", "competitor",
    "batch_size", "steps", "threads", "round", "seconds", "cpu", "torch_version", "started_at",
)  # fmt: skip

#: What the engine is timed beside, the first that is there: what people use, else its loop.
OTHERS = ("torchattacks", "plain")

Network = tuple[str, tuple[int, ...], Callable[[], nn.Module]]


@dataclass(frozen=True)
class Served:
    """How a network is served.

    Attributes:
        parameters: numbers that are trained.
        attacks, updates: ``"engine"`` or ``"PyTorch"``.
        reason: why PyTorch, or empty.
    """

    parameters: int
    attacks: str
    updates: str
    reason: str


@dataclass(frozen=True)
class Timing:
    """Seconds of an attack, round by round.

    Attributes:
        engine, other: of each; the same round's are paired.
        competitor: the other's name.
    """

    engine: list[float]
    other: list[float]
    competitor: str

    @property
    def ratios(self) -> list[float]:
        """How many times as long the other takes, sorted."""
        return sorted(b / a for a, b in zip(self.engine, self.other, strict=True))

    @property
    def ratio(self) -> float:
        """Their median."""
        return median(self.ratios)


def of_own(name: str) -> Callable[[], nn.Module]:
    """What makes a network, from ``module:callable``; modules of the current folder are found.

    Raises:
        SparringError: if there is none of that name.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise SparringError(f"--model {name}: expected module:callable")
    if (here := str(Path.cwd())) not in sys.path:  # `python -m` has it there, a script has not
        sys.path.insert(0, here)
    try:
        made = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever a module of the user's raises
        told = sentence(error)
        raise SparringError(f"--model {name}: expected module:callable ({told})") from None
    if not callable(made):
        raise SparringError(f"--model {name}: is not callable")
    return made  # type: ignore[no-any-return]


def served(network: Network) -> tuple[Served, nn.Module]:
    """Ask the engine about a network; also the model that it was asked about, in train mode.

    Raises:
        SparringError: if what makes it fails or makes no module, or one that cannot take such
            images or gives no logits of them.
    """
    name, shape, make = network
    torch.manual_seed(0)
    model = _made(name, make)
    _check_answer(name, model, shape)
    count = sum(parameter.numel() for parameter in model.parameters())
    quiet = logging.getLogger("sparring.backends")
    level, quiet.level = quiet.level, logging.ERROR  # the table tells
    try:
        engine = _asked(model, shape)
    finally:
        quiet.setLevel(level)
    if isinstance(engine, str):
        return Served(count, "PyTorch", "PyTorch", engine), model
    reason = engine.only_attacks
    return Served(count, "engine", "PyTorch" if reason else "engine", reason), model


def _made(name: str, make: Callable[[], object]) -> nn.Module:
    try:
        model = make()
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[1:2]  # of what was called
        place = "".join(f" ({frame.filename}, line {frame.lineno})" for frame in frames)
        told = f"{type(error).__name__}: {sentence(error)}"
        raise SparringError(f"{name}: expected a torch.nn.Module, got {told}{place}") from None
    if not isinstance(model, nn.Module):
        raise SparringError(f"{name}: expected a torch.nn.Module, got {model!r:.60}")
    return model


def _check_answer(name: str, model: nn.Module, shape: tuple[int, ...]) -> None:
    images = torch.zeros(2, *shape)
    try:
        logits = logits_of(partial(answer, model), images)
        check_logits_shape(tuple(logits.shape), images[:, 0])
    except ModelError as error:
        raise SparringError(f"{name}: {error}") from None
    except Exception as error:
        raise SparringError(
            f"{name}: the model cannot take images of shape {as_written(shape)}: "
            f"{sentence(error)}; expected one that can, or another --input-shape"
        ) from None


def _asked(model: nn.Module, shape: tuple[int, ...]) -> Engine | str:
    model.train()
    try:
        engine = engine_of("fused", model, shape)
    except BackendError as error:
        return error.reason
    assert engine is not None
    return engine


def checked(model: nn.Module, shape: tuple[int, ...]) -> precision.Errors:
    """Compare the engine's gradients with float64's; the model's statistics change."""
    engine = _asked(model, shape)
    assert isinstance(engine, Engine)
    return precision.measure(engine, model)


def timed(
    model: nn.Module, shape: tuple[int, ...], *, batch_size: int, steps: int, rounds: int,
    seconds: float,
) -> Timing:  # fmt: skip
    """Attack with the engine and with a competitor in turns, in random order in each round.

    Args:
        model: that the engine serves.
        shape: of an image.
        batch_size: images, uniform noise in [0, 1].
        steps: of L-infinity PGD.
        rounds: at most.
        seconds: no round begins later; three are made at least.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(batch_size, *shape, generator=generator)
    model.eval()
    with torch.no_grad():
        classes = model(x[:2]).shape[1]
    y = torch.arange(batch_size) % classes
    numbers = Numbers(epsilon=0.1, step_size=0.02, low=0.0, high=1.0)
    other = next(name for name in OTHERS if name == OTHERS[-1] or _there(name))
    runs = {
        name: BUILDERS[name].attacks(model, numbers)(steps) for name in ("fused", other)
    }  # fmt: skip
    for run in runs.values():
        run(x, y)
    found: dict[str, list[float]] = {name: [] for name in runs}
    order, began = Random(0), time.monotonic()
    for number in range(rounds):
        if number >= 3 and time.monotonic() - began > seconds:
            break
        for name in order.sample(list(runs), len(runs)):
            started = time.perf_counter()
            runs[name](x, y)
            found[name].append(time.perf_counter() - started)
    return Timing(found["fused"], found[other], other)


def _there(name: str) -> bool:
    try:
        return bool(BUILDERS[name].version)
    except AbsentError:
        return False


def rows(
    network: Network, about: Served, timing: Timing | None, *, batch_size: int, steps: int
) -> Iterator[Row]:
    """A row for each timed attack, or one without a time."""
    name, shape, _ = network
    common: dict[str, Value] = {
        "network": name, "input_shape": "x".join(map(str, shape)), "parameters": about.parameters,
        "attacks": about.attacks, "updates": about.updates,
        "reason": about.reason, "cpu": cpu_model(), "torch_version": torch.__version__,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    if timing is None:
        yield common
        return
    common |= {"batch_size": batch_size, "steps": steps, "threads": torch.get_num_threads()}
    for competitor, times in (("fused", timing.engine), (timing.competitor, timing.other)):
        for number, seconds in enumerate(times):
            yield common | {"competitor": competitor, "round": number, "seconds": seconds}
