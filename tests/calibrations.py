"""A made-up machine on which everything takes microseconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sparring.modelling.calibration.calibration import Calibration
from sparring.modelling.calibration.files import machine_name

MICRO = 1e-6


def fields(**changes: Any) -> dict[str, Any]:
    """Of a calibration: 4 bytes an image, 40 of weights, times in whole microseconds."""

    def took(*microseconds: float) -> dict[str, Any]:
        samples = [value * MICRO for value in microseconds]
        return {"median": sorted(samples)[len(samples) // 2], "samples": samples}

    return {
        "schema_version": 1,
        "name": machine_name(),
        "source": "measured",
        "origin": "made up",
        "date": "2026-01-02T03:04:05+00:00",
        "backend": "torch",
        "network": "study",
        "dtype": "float32",
        "nodes": 1,
        "cores_per_node": 2,
        "work": [
            {"batch_size": 2, "step": took(20, 30, 40), "gradients": took(50), "loss": took(10),
             "prepare": took(5), "look": took(1)},
            {"batch_size": 8, "step": took(80), "gradients": took(200), "loss": took(40)},
        ],
        "apply": took(7),
        "read_weights": took(3),
        "write_weights": took(4),
        "weights_bytes": 40,
        "gradient_bytes": 40,
        "gradient_parts": [32, 8],
        "image_bytes": 4,
        "slowdown": [{"active_cores": 1, "factor": 1.0}, {"active_cores": 2, "factor": 1.5}],
        "within": {"messages": [{"bytes": 8, "seconds": took(1)}]},
        **changes,
    }  # fmt: skip


def calibration(**changes: Any) -> Calibration:
    return Calibration.model_validate(fields(**changes))


def put(folder: Path, backend: str = "torch", day: str = "20260102-1", **changes: Any) -> Path:
    """Save one of this machine as `sparring calibrate` does; its path."""
    (folder / "calibration").mkdir(parents=True, exist_ok=True)
    path = folder / "calibration" / f"{machine_name()}.study.float32.{backend}.{day}.json"
    path.write_text(json.dumps(fields(backend=backend, **changes)))
    return path
