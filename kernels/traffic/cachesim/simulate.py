"""Traffic between levels of memory, from a simulation of a machine's caches.

A kernel runs under Callgrind with the machine's cache geometry, one process for each cache (see
`kernels.traffic.cachesim.passes`); in it all kernels, one after the other, each once to warm the
caches and then counted. Bytes are the lines filled and written back. What calling nothing counts is
taken away.

Valgrind shows programs an AVX2 machine, so libraries and the engine take their AVX2 paths. What was
simulated is kept by a hash of all that it depends on: a second run reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from threading import BoundedSemaphore
from types import MappingProxyType
from typing import Any

from kernels.declarations.kernel import Case
from kernels.machines.caches import cores
from kernels.machines.machine import Machine
from kernels.traffic.cachesim import callgrind
from kernels.traffic.cachesim.child import NOTHING
from kernels.traffic.cachesim.passes import Pass, passes
from kernels.traffic.traffic import Traffic
from sparring.errors import SparringError
from sparring.fused.engine import SOURCE as ENGINE

#: Calls that are counted together. A simulated call is like the next one.
CALLS = 1
_LIMIT_SECONDS = 3600.0
#: Paths for AVX2, in oneDNN, MKL, PyTorch's own kernels and the engine; one thread. All memory from
#: the heap, none given back (mallopt(3)): what was freed serves the next call, as in a program that
#: has run for a while. Else a call's first results lie where the next call's do not.
VARIABLES = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
    "SPARRING_ISA": "avx2", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0",
}  # fmt: skip
_running = BoundedSemaphore(max(1, len(cores())))
#: The variant that the engine runs.
FUSED = "fused"
#: They would make OpenBLAS take another processor's kernels.
_MISLEADING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@dataclass(frozen=True)
class Wanted:
    """A variant of a kernel in a case, on one thread."""

    kernel: str
    variant: str
    case: Case

    @property
    def words(self) -> tuple[str, str, int, int]:
        """As the simulating process takes it."""
        return self.kernel, self.variant, self.case.batch_size, self.case.input_size


@dataclass(frozen=True)
class Simulated:
    """What was found.

    Attributes:
        flops: executed in a call, on the AVX2 path.
        traffic: of a call at each level.
    """

    flops: float
    traffic: tuple[Traffic, ...]


def simulate(
    wanted: Sequence[Wanted],
    machine: Machine,
    active: int,
    folder: Path,
    tell: Callable[[str], None],
    calls: int = CALLS,
) -> dict[Wanted, Simulated]:
    """Simulate kernels on a machine's caches, or read what was simulated before.

    Args:
        wanted: what to simulate.
        machine: whose caches.
        active: cores that share the shared ones, one of which runs the kernel.
        folder: of the files that are kept.
        tell: takes a line about the progress.
        calls: that are counted together.

    Raises:
        NoValgrindError: if nothing can be simulated here.
        SparringError: if simulating fails.
    """
    version, todo = callgrind.version(), passes(machine, active)
    codes = {item.variant: code_hash(item.variant) for item in wanted}
    tools = {
        item: {"valgrind": version, "code": codes[item.variant], "calls": calls} for item in wanted
    }
    keyed = {(one, item): _path(folder, one, item, tools[item]) for one in todo for item in wanted}
    missing = {
        one: [item for item in wanted if not keyed[one, item].exists()] for one in todo
    }  # fmt: skip
    jobs = [(one, items) for one, items in missing.items() if items]
    if jobs:
        control = callgrind.control_library()
        folder.mkdir(parents=True, exist_ok=True)
        for one, items in jobs:
            tell(f"simulating {machine.name}'s traffic with {one.level}: {len(items)} kernels")
        with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(len(cores())) as pool:
            lists = dict.fromkeys(tuple(items) for _, items in jobs)
            ready = {
                items: _prepared(items, Path(name) / str(number))
                for number, items in enumerate(lists)
            }
            futures = [
                pool.submit(_run, one, items, ready[tuple(items)], control, calls)
                for one, items in jobs
            ]
            for (one, items), future in zip(jobs, futures, strict=True):
                for item, found in zip(items, future.result(), strict=True):
                    more = {"pass": _described(one), "tools": tools[item], "item": item.words}
                    write(keyed[one, item], found | more)
    read = {key: json.loads(path.read_text()) for key, path in keyed.items()}
    return {
        item: Simulated(
            float(read[todo[0], item]["flops"]),
            tuple(Traffic(one.level, read[one, item]["bytes"], "cachesim") for one in todo),
        )
        for item in wanted
        if not any(read[one, item]["message"] for one in todo)
    }


def _prepared(items: Sequence[Wanted], folder: Path) -> Path:
    """What all passes need of the same items, computed once outside Valgrind."""
    folder.mkdir()
    listed, ready = folder / "items.json", folder / "ready.pt"
    listed.write_text(json.dumps([item.words for item in items]))
    start([sys.executable, "-m", "kernels.traffic.cachesim.prepare", str(listed), str(ready)])
    return ready


def _run(
    one: Pass, items: list[Wanted], ready: Path, control: Path, calls: int
) -> list[dict[str, Any]]:
    """One process under Callgrind, with all items."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "counts").mkdir()
        task, result = (scratch / f"{word}.json" for word in ("task", "result"))
        words = [item.words for item in items]
        task.write_text(json.dumps({
            "control": str(control), "calls": calls, "items": words, "ready": str(ready),
        }))  # fmt: skip
        start_counting([
            *callgrind.command(one, scratch / "counts" / "out"),
            *(sys.executable, "-m", "kernels.traffic.cachesim.child", str(task), str(result)),
        ])  # fmt: skip
        counted = callgrind.counts(scratch / "counts")
        empty, line_bytes = counted[NOTHING], one.last.line
        return [
            {
                **found,
                **_amounts(counted.get(str(number), empty), empty, calls, line_bytes),
            }
            for number, found in enumerate(json.loads(result.read_text()))
        ]


def start_counting(line: Sequence[str]) -> None:
    """Run a process under Valgrind, of which each core gets one at a time."""
    with _running:
        start(line)


def start(line: Sequence[str], more: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run a process of the simulation to its end, with its variables and more.

    Raises:
        SparringError: if it takes too long, or fails.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    environment = kept | VARIABLES | dict(more)
    try:
        done = subprocess.run(
            line, env=environment, capture_output=True, text=True, errors="replace",
            timeout=_LIMIT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SparringError(f"simulating took more than {_LIMIT_SECONDS:g} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise SparringError(f"simulating under Valgrind failed: {last[:300]}")


def _amounts(
    events: dict[str, int], empty: dict[str, int], calls: int, line: int
) -> dict[str, float]:
    """Bytes of one call: filled, written back, together."""

    def size(names: Sequence[str]) -> float:
        return max(0.0, sum(events[name] - empty[name] for name in names) * line / calls)

    fills, write_backs = size(callgrind.FILLS), size(callgrind.WRITE_BACKS)
    return {"fills": fills, "write_backs": write_backs, "bytes": fills + write_backs}


def _described(one: Pass) -> dict[str, str]:
    return {"level": one.level, "first": str(one.first), "last": str(one.last)}


def _path(folder: Path, one: Pass, item: Wanted, tools: dict[str, Any]) -> Path:
    text = json.dumps([_described(one), item.words, tools], sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def code_hash(variant: str) -> str:
    """Of all that runs: declarations, PyTorch, variables, the engine's source for its variant."""
    here = Path(__file__).parent
    declarations = sorted((here.parents[1] / "declarations").glob("*.py"))
    files = [*declarations, here / "child.py", here / "prepare.py"]
    if variant == FUSED:
        files += sorted(path for path in ENGINE.parent.iterdir() if path.suffix in (".hpp", ".cpp"))
    found = hashlib.sha256(package_version("torch").encode())
    found.update(json.dumps(VARIABLES).encode())
    for path in files:
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def write(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all."""
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    scratch.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    scratch.replace(path)
