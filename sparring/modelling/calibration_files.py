"""Where calibrations are kept: one file each time, and the newest counts.

``<folder>/<machine>.<network>.<dtype>.<backend>.<date>-<number>.json``, with the date as YYYYMMDD
and numbers from 1 within a day. Nothing is ever overwritten.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from sparring.benchmark.machine import cores, cpu_model
from sparring.errors import SparringError
from sparring.modelling.calibration import Calibration, save

_NAME = re.compile(r"(?P<what>.+)\.(?P<date>\d{8})-(?P<number>\d+)\.json")


def machine_name(nodes: int = 1, cores_per_node: int | None = None) -> str:
    """This machine in a file's name: processor, cores of a node, and nodes where there are more.

    Without ``cores_per_node`` it is the cores that this process may keep busy.

    >>> machine_name()  # doctest: +SKIP
    'amd-epyc-7b13-64-cores'
    """
    told = f"{cpu_model()} {cores_per_node or cores()} cores"
    if nodes > 1:
        told += f" {nodes} nodes"
    return re.sub(r"[^a-z0-9]+", "-", told.lower()).strip("-")


def keep(calibration: Calibration, folder: Path) -> Path:
    """Save a calibration under the next free name.

    Raises:
        SparringError: if the folder cannot be written.
    """
    kind = (calibration.name, calibration.network, calibration.dtype, calibration.backend)
    day = calibration.date[:10].replace("-", "")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            path = folder / f"{'.'.join(kind)}.{day}-{number}.json"
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:
                continue
            save(calibration, path)
            return path
    except OSError as error:
        raise SparringError(f"{folder}: cannot be written: {error.strerror}") from None
    raise SparringError(f"{folder}: has 9,999 calibrations of {day} already")


def newest(
    folder: Path, *, network: str, dtype: str, backends: tuple[str, ...], machine: str
) -> Path | None:
    """The newest calibration of a machine for the first of ``backends`` that has one."""
    for backend in backends:
        wanted = ".".join((machine, network, dtype, backend))
        found = {
            (match["date"], int(match["number"])): path
            for path in folder.glob("*.json")
            if (match := _NAME.fullmatch(path.name)) and match["what"] == wanted
        }
        if found:
            return found[max(found)]
    return None


def digest(path: Path) -> str:
    """The letter c and 12 hexadecimal digits of the file's SHA-256."""
    return "c" + hashlib.sha256(path.read_bytes()).hexdigest()[:12]
