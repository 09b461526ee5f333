"""A calibration of predicted times: what the simulator needs to scale a machine that is not here.

Computing is predicted; what messages cost, sizes and copies of weights are another calibration's,
and stay what they are there, measured or assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kernels.machines.machine import Machine
from kernels.table import Row, utc_now
from sparring.errors import SparringError
from sparring.modelling.calibration.calibration import Calibration, Duration, Work, load

#: The study's own machine, with the messages that were assumed for it.
MESSAGES = Path(__file__).parents[2] / "experiments" / "calibrations" / "m4.16xlarge.toml"
#: Kernels of the engine: an ascent step, and an update, the optimizer's step included.
NEEDED = ("attack_step", "update")


def of_predictions(
    rows: Sequence[Row], machine: Machine, messages: Path, command: str
) -> Calibration:
    """The machine's calibration, its ``source`` "predicted".

    An image of a batch smaller than the smallest that was predicted is taken to need its part of
    that one. No slowdown is in it beyond that of the busy cores that were predicted for.

    Args:
        rows: predicted, of one or several batch sizes; see `kernels.prediction.table`.
        machine: that they are of.
        messages: the calibration whose messages and sizes are taken.
        command: that made the rows.

    Raises:
        SparringError: if a kernel was not predicted, or ``messages`` is no calibration.
    """
    seconds: dict[int, dict[str, Row]] = {}
    for row in rows:
        if row["variant"] == "fused":
            seconds.setdefault(int(str(row["batch_size"])), {})[str(row["kernel"])] = row
    found: dict[int, dict[str, float]] = {}
    for size, kernels in sorted(seconds.items()):
        for name in NEEDED:
            value = kernels[name]["seconds"] if name in kernels else None
            if not isinstance(value, float):
                raise _lacking(name, machine)
            found.setdefault(size, {})[name] = value
    if not found:
        raise _lacking(NEEDED[0], machine)
    least = min(found)
    base = load(messages)
    active = seconds[least][NEEDED[0]]["active_cores"]
    return Calibration.model_validate(
        base.model_dump()
        | {
            "name": machine.name, "source": "predicted", "backend": "fused", "network": "study",
            "dtype": "float32", "date": utc_now(),
            "origin": f"{command}; {active} busy cores; messages of {base.name} ({base.source})",
            "nodes": 1, "cores_per_node": machine.sockets * machine.cores_per_socket,
            "slowdown": (), "environment": {},
            "work": [
                *([] if least == 1 else [_work(1, 1 / least, found[least])]),
                *(_work(size, 1.0, own) for size, own in found.items()),
            ],
            "apply": Duration(median=0.0),
        }
    )  # fmt: skip


def _lacking(name: str, machine: Machine) -> SparringError:
    return SparringError(
        f"--calibration: the engine's {name} of {machine.name} is not predicted; expected "
        f"the fused kernels {' and '.join(NEEDED)}"
    )


def _work(size: int, part: float, found: dict[str, float]) -> Work:
    step, update = (Duration(median=part * found[name]) for name in NEEDED)
    return Work(batch_size=size, step=step, gradients=update, loss=Duration(median=0.0))
