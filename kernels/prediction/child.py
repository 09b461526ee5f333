"""The process in which kernels run under Callgrind while it counts every instruction.

Started as ``python -m kernels.prediction.child task.json folder``. Beside Callgrind's dumps it
leaves a file for each stretch of code that no object file holds: what oneDNN and MKL generate while
they run.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

import sparring.fused.engine as engine
from kernels.declarations.fused import trust_engines
from kernels.declarations.kernel import Case
from kernels.declarations.registry import KERNELS
from kernels.samples import inputs
from kernels.traffic.cachesim.callgrind import Control
from kernels.traffic.cachesim.child import NOTHING
from sparring.fused.machine import Isa

#: No library generates more code at once.
_LARGEST = 2**26
#: Valgrind keeps its own code between these addresses.
_VALGRINDS = range(0x10_0000_0000, 0x20_0000_0000)


def main(task: dict[str, object], folder: Path, *, prepare: bool) -> None:
    """Run what a task lists, each kernel once before it is counted.

    Args:
        task: ``control``, the library; ``march``, the processor that the engine is compiled for;
            ``items``: lists of kernel, variant, batch size, input size.
        folder: where to write.
        prepare: whether to make everything ready and end there.
    """
    control, items, march = Control(Path(str(task["control"]))), task["items"], task["march"]
    assert isinstance(items, list)
    if march:
        isa = Isa("avx2", 8, (f"-march={march}",))
        engine.machine_isa = lambda: isa  # type: ignore[attr-defined]
    torch.set_num_threads(1)
    if not prepare:  # under Valgrind; before, outside it, they are checked
        trust_engines()
    prepared: list[Callable[[], object]] = []
    for name, variant, batch, size in items:
        kernel, case = KERNELS[name], Case(batch, size)
        prepared.append(kernel.variants[variant].prepare(inputs(kernel, case), case).run)
    if prepare:
        return
    gc.collect()
    gc.disable()
    control.begin()
    ready: dict[str, Callable[[], object]] = {NOTHING: lambda: None}
    for label, run in (ready | {str(n): run for n, run in enumerate(prepared)}).items():
        run()
        control.zero()
        run()
        control.dump(label)
    control.end()
    for line in Path("/proc/self/maps").read_text().splitlines():
        bounds, rights, _, _, inode, *_ = line.split()
        begin, end = (int(word, 16) for word in bounds.split("-"))
        if "r" in rights and "x" in rights and inode == "0" and begin not in _VALGRINDS:
            if end - begin > _LARGEST or begin > 2**47:
                continue
            (folder / f"{begin:x}.code").write_bytes(ctypes.string_at(begin, end - begin))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), prepare=len(sys.argv) > 3)
