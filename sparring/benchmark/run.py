"""A whole run: make the problem, save it, measure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from sparring import data
from sparring.benchmark.measure import Benchmark, new_run
from sparring.benchmark.plan import Numbers, Plan
from sparring.benchmark.problem import make
from sparring.benchmark.table import COLUMNS
from sparring.benchmark.verification import FEWEST_IMAGES, Judge
from sparring.benchmark.worker import Launcher
from sparring.tables import Row, Table

TABLE = "attack_benchmark.csv"


def run(
    plans: Sequence[Plan], results: Path, tell: Callable[[str], None]
) -> tuple[list[Row], Path]:
    """Measure what is planned, task after task, and add it to ``results/attack_benchmark.csv``.

    Args:
        plans: all of one network, its weights, data set and seed.
        results: folder of the table.
        tell: takes a line about the progress.

    Returns:
        the rows of this run, and the table's path.

    Raises:
        SparringError: if the table or the data set cannot be used.
    """
    table, first = Table(results / TABLE, COLUMNS), plans[0]
    dataset = data.load(first.dataset, first.data)
    images = max(2 * FEWEST_IMAGES, *(size for plan in plans for size in plan.batch_sizes))
    if first.weights == "trained":
        tell(f"training network '{first.network}' on {first.dataset}")
    problem = make(first.network, dataset, images, first.seed, first.weights)
    judge, name, rows = Judge(problem, Numbers()), new_run(), []
    tell(f"run {name}: network '{first.network}', {first.weights} weights")
    with tempfile.TemporaryDirectory(prefix="sparring-benchmark-") as place:
        folder = Path(place)
        problem.save(folder / "problem.pt")
        for plan in plans:
            start = Launcher(folder / "problem.pt", folder, plan.task)
            rows += Benchmark(plan, start, judge, table, folder, tell, run=name).measure()
    return rows, table.path
