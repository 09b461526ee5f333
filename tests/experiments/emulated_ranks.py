"""Every strategy emulated on real ranks; rank 0 prints what each told (run by test_emulated)."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from mpi4py import MPI

from experiments.emulated import Emulated

VARIANTS: list[dict[str, Any]] = [
    {"strategy": "pipeline", "receive_interval": 2},
    {
        "strategy": "pipeline", "weight_sends": "on_change", "weights": "window",
        "messages": "packed", "assignment": "dynamic", "trainer_generates": True,
    },
    {"strategy": "sharded"},
    {"strategy": "sharded", "overlap": True},
    {"strategy": "data_parallel"},
    {"strategy": "data_parallel", "overlap": True},
]  # fmt: skip


def emulate(comm: MPI.Intracomm, parameters: dict[str, Any]) -> dict[str, Any]:
    workload = Emulated()
    workload.setup(comm, parameters)
    workload.prepare(False)
    began = time.perf_counter()
    workload.run()
    metrics = workload.observe(time.perf_counter() - began)
    reports = comm.gather(workload.rank_report())
    return {"metrics": metrics, "ranks": reports}


if __name__ == "__main__":
    world = MPI.COMM_WORLD
    shared = json.loads(sys.argv[1]) | {"processes": world.size}
    told = [emulate(world, shared | variant) for variant in VARIANTS]
    if world.rank == 0:
        print("RESULT" + json.dumps({"told": told, "torch": "torch" in sys.modules}))
