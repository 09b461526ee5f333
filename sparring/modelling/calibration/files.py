"""Where calibrations are kept: one file each time, and the newest counts.

``<folder>/<machine>.<network>.<dtype>.<backend>.<date>-<number>.json``, with the date as YYYYMMDD
and numbers from 1 within a day. Nothing is ever overwritten.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from pathlib import Path

from sparring.benchmark.machine import cores, cpu_model
from sparring.errors import SparringError
from sparring.modelling.calibration.calibration import Calibration
from sparring.outputs import rescue, write

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
        SparringError: if the folder cannot be written; the message tells where it is instead.
    """
    kind = (calibration.name, calibration.network, calibration.dtype, calibration.backend)
    day = calibration.date[:10].replace("-", "")
    text = calibration.model_dump_json(indent=1) + "\n"
    names = (folder / f"{'.'.join(kind)}.{day}-{number}.json" for number in itertools.count(1))
    path = next(names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while not _claim(path):
            path = next(names)
        write(path, text, existing=True)
    except OSError as error:
        reason = f"{folder}: cannot be written: {error.strerror}; {rescue(path, text)}"
        raise SparringError(reason) from None
    except SparringError:
        path.unlink(missing_ok=True)
        raise
    return path


def _claim(path: Path) -> bool:
    """Whether the file was made by this call, and by no other process at the same time."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


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
