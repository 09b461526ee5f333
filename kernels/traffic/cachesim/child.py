"""The process in which kernels run under Callgrind.

Started as ``python -m kernels.traffic.cachesim.child task.json``.

Every kernel is called once before its calls are counted: the caches are warm with its own data.
What `kernels.traffic.cachesim.prepare` has checked outside Valgrind is not checked before it runs.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import torch

from kernels.declarations.fused import trust_engines
from kernels.declarations.kernel import Case, Prepared, error
from kernels.declarations.registry import KERNELS
from kernels.samples import inputs
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
    trust_engines()
    prepared: list[Ready] = torch.load(str(task["ready"]), weights_only=True)
    found: list[dict[str, object]] = []
    ready: dict[str, Prepared] = {}
    for number, (name, variant, batch, size) in enumerate(items):
        kernel, case = KERNELS[name], Case(batch, size)
        _, flops, message = prepared[number]
        found.append({"flops": flops, "error": None, "message": message})
        if not message:
            ready[str(number)] = kernel.variants[variant].prepare(inputs(kernel, case), case)
    runs = {NOTHING: lambda: None} | {label: one.run for label, one in ready.items()}
    gc.collect()
    gc.disable()
    control.begin()  # once: all code is translated anew here
    results = {}
    for label, run in runs.items():
        run()
        control.zero()
        for _ in range(calls):
            results[label] = run()
        control.dump(label)
    control.end()
    for label, one in ready.items():
        found[int(label)]["error"] = error(
            list(one.result(results[label])), prepared[int(label)][0]
        )
    result.write_text(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
