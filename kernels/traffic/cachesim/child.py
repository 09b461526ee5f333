"""The process in which kernels run under Callgrind.

Started as ``python -m kernels.traffic.cachesim.child task.json``.

Every kernel is called once before its calls are counted: the caches are warm with its own data.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from kernels.declarations.kernel import Case
from kernels.declarations.registry import KERNELS
from kernels.samples import checked, inputs
from kernels.traffic.cachesim.callgrind import Control
from kernels.traffic.cachesim.prepare import Ready

#: The name of the counts of calling nothing.
NOTHING = "nothing"


def main(task: dict[str, object], result: Path) -> None:
    """Run what a task lists.

    Args:
        task: ``control``, the library; ``calls`` that are counted; ``items``: lists of kernel,
            variant, batch size, input size; ``ready``, what
            `kernels.traffic.cachesim.prepare` wrote.
        result: where to write, for each item, ``flops``, ``error`` and ``message``.
    """
    control, calls, items = Control(Path(str(task["control"]))), task["calls"], task["items"]
    assert isinstance(calls, int)
    assert isinstance(items, list)
    torch.set_num_threads(1)
    found: list[dict[str, object]] = []
    ready: dict[str, Callable[[], object]] = {NOTHING: lambda: None}
    prepared: list[Ready] = torch.load(str(task["ready"]), weights_only=True)
    for number, (name, variant, batch, size) in enumerate(items):
        kernel, case = KERNELS[name], Case(batch, size)
        exact, flops, message = prepared[number]
        if message:
            found.append({"flops": flops, "error": None, "message": message})
            continue
        timed = checked(kernel, variant, inputs(kernel, case), case, exact)
        if timed.prepared is not None and timed.status == "ok":
            ready[str(number)] = timed.prepared.run
        found.append({"flops": flops, "error": timed.error, "message": timed.message})
    gc.collect()
    gc.disable()
    control.begin()  # once: all code is translated anew here
    for label, run in ready.items():
        run()
        control.zero()
        for _ in range(calls):
            run()
        control.dump(label)
    control.end()
    result.write_text(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
