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

    An image of a smaller batch is taken to need its part of the batch: shares are divided without
    loss. No slowdown is in it beyond that of the busy cores that were predicted for.

    Args:
        rows: predicted, of one batch size; see `kernels.prediction.table`.
        machine: that they are of.
        messages: the calibration whose messages and sizes are taken.
        command: that made the rows.

    Raises:
        SparringError: if a kernel was not predicted, or ``messages`` is no calibration.
    """
    seconds = {row["kernel"]: row for row in rows if row["variant"] == "fused"}
    found: dict[str, float] = {}
    for name in NEEDED:
        value = seconds[name]["seconds"] if name in seconds else None
        if not isinstance(value, float):
            raise SparringError(
                f"--calibration: the engine's {name} of {machine.name} is not predicted; expected "
                f"the fused kernels {' and '.join(NEEDED)}"
            )
        found[name] = value
    batch = seconds[NEEDED[0]]["batch_size"]
    assert isinstance(batch, int)
    base = load(messages)
    active = seconds[NEEDED[0]]["active_cores"]
    return Calibration.model_validate(
        base.model_dump()
        | {
            "name": machine.name, "source": "predicted", "backend": "fused", "network": "study",
            "dtype": "float32", "date": utc_now(),
            "origin": f"{command}; {active} busy cores; messages of {base.name} ({base.source})",
            "nodes": 1, "cores_per_node": machine.sockets * machine.cores_per_socket,
            "slowdown": (), "environment": {},
            "work": [_work(size, size / batch, found) for size in sorted({1, batch})],
            "apply": Duration(median=0.0),
        }
    )  # fmt: skip


def _work(size: int, part: float, found: dict[str, float]) -> Work:
    step, update = (Duration(median=part * found[name]) for name in NEEDED)
    return Work(batch_size=size, step=step, gradients=update, loss=Duration(median=0.0))
