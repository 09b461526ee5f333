"""A whole run: train, save the problem, measure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from sparring import data
from sparring.benchmark.measure import Benchmark
from sparring.benchmark.plan import Numbers, Plan
from sparring.benchmark.problem import make
from sparring.benchmark.table import Row, Table
from sparring.benchmark.verification import FEWEST_IMAGES, Judge
from sparring.benchmark.worker import Launcher

TABLE = "attack_benchmark.csv"


def run(plan: Plan, results: Path, tell: Callable[[str], None]) -> tuple[list[Row], Path]:
    """Measure what is planned and add it to ``results/attack_benchmark.csv``.

    Returns:
        the rows of this run, and the table's path.

    Raises:
        SparringError: if the table or the data set cannot be used.
    """
    table = Table(results / TABLE)
    dataset = data.load(plan.dataset, plan.data)
    tell(f"training network '{plan.network}' on {plan.dataset}")
    problem = make(plan.network, dataset, max(*plan.batch_sizes, 2 * FEWEST_IMAGES), plan.seed)
    with tempfile.TemporaryDirectory(prefix="sparring-benchmark-") as place:
        folder = Path(place)
        problem.save(folder / "problem.pt")
        launcher = Launcher(folder / "problem.pt", folder)
        judge = Judge(problem, Numbers())
        benchmark = Benchmark(plan, launcher, judge, table, folder, tell)
        tell(f"run {benchmark.run}")
        return benchmark.measure(), table.path
