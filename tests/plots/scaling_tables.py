"""Small tables as the harness writes them, with times that follow known laws."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from harness.tables.table import POINT_COLUMNS, RANK_COLUMNS, ROW_COLUMNS, format_csv, text_of

GENERATE, UPDATE, OPTIMIZER, BATCHES = 0.32, 0.035, 0.002, 40  # seconds a batch; batches


class Table:
    """Collects launches of one study and writes the files of its results folder."""

    def __init__(self, study: str = "strong_scaling", noise: float = 0.0) -> None:
        self.study, self.noise = study, noise
        self.random = np.random.default_rng(7)
        self.rows: list[dict[str, object]] = []
        self.ranks: list[dict[str, object]] = []
        self.points: list[dict[str, object]] = []

    def add(
        self,
        seconds: float | None,
        *,
        launches: int = 6,
        repetitions: int = 2,
        environment: str = "env-a",
        status: str = "ok",
        source: str = "measured",
        threads: int = 1,
        asked: bool = True,
        phases: tuple[float, float, float] | None = None,
        started: str = "2026-01-01T00:00:00",
        workload: str = "experiments.training:Training",
        metrics: dict[str, object] | None = None,
        processes: int,
        **parameters: object,
    ) -> Table:
        """One point: ``launches`` launches of a warm-up and ``repetitions`` repetitions."""
        identity = {"processes": processes, "threads": threads, "source": source, **parameters}
        point = f"{zlib.crc32(json.dumps(identity, sort_keys=True).encode()):08x}"
        shared = {
            "schema_version": 1, "study": self.study, "point": point, "source": source,
            "workload": workload, "workload_version": "1", "processes": processes,
            "threads_per_process": threads, "cores": processes * threads, "seed": 0,
            "backend": "torch", "status": status, "environment": environment,
            "started_at": started, **parameters,
        }  # fmt: skip
        for launch in range(launches):
            slower = float(np.exp(self.noise * self.random.normal()))
            for repetition in range(-1, repetitions):
                warm = repetition < 0
                value = None if seconds is None else seconds * slower * (1.5 if warm else 1.0)
                self.rows.append({
                    **shared, "launch": f"{environment}-{launch}", "repetition": repetition + 1,
                    "warmup": warm, "order": len(self.rows), "message": "", "seconds": value,
                    **(metrics or {}),
                    **({"optimizer_seconds": phases[2] * BATCHES} if phases else {}),
                })  # fmt: skip
                if phases:
                    self.ranks.append({
                        "point": point, "launch": f"{environment}-{launch}",
                        "repetition": repetition + 1, "rank": 0, "role": "sequential",
                        "generate_seconds": phases[0] * BATCHES,
                        "update_seconds": phases[1] * BATCHES, "batches": BATCHES,
                    })  # fmt: skip
        if asked:
            self.points.append({
                "study": self.study, "preset": "laptop", "point": point, "state": "done",
                "source": source, "processes": processes, "environment": environment,
                **parameters,
            })  # fmt: skip
        return self

    def training(
        self,
        processes: Iterable[int],
        *,
        steps: int = 32,
        strategies: dict[str, Callable[[float], float]] | None = None,
        **keywords: object,
    ) -> Table:
        """Sequential training of N (g + u) seconds, and strategies with their laws of p."""
        g = GENERATE * steps / 32
        total = BATCHES * (g + UPDATE)
        shared = {"adversary_steps": steps, "batch_size": 64, "updates": BATCHES,
                  "dataset": "mnist-5k", "network": "study", "attack": "ascent"}  # fmt: skip
        self.add(total, processes=1, strategy="sequential", phases=(g, UPDATE, OPTIMIZER),
                 **{**shared, **keywords})  # fmt: skip
        for name, law in (strategies or {}).items():
            for p in processes:
                self.add(total * law(p), processes=p, strategy=name, **{**shared, **keywords})
        return self

    def write(self, folder: Path, *, points: bool = True, ranks: bool = True) -> Path:
        """Write the tables; returns the path of the main one."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.study}.csv"
        path.write_text(_text(ROW_COLUMNS, self.rows))
        if points and self.points:
            (folder / f"{self.study}.points.csv").write_text(_text(POINT_COLUMNS, self.points))
        if ranks and self.ranks:
            (folder / f"{self.study}.ranks.csv").write_text(_text(RANK_COLUMNS, self.ranks))
        cpu = {"model": "Intel(R) Xeon(R) E5-2686 v4 @ 2.30GHz", "cores": 32}
        environments = {
            name: {"fingerprint": {"cpu": cpu, "mpi": "MPICH 5.0"}, "git": {"dirty": False}}
            for name in sorted({str(row["environment"]) for row in self.rows})
        }
        (folder / f"{self.study}.environment.json").write_text(json.dumps(environments))
        return path


def amdahl(f: float) -> Callable[[float], float]:
    """T_p / T_1."""
    return lambda p: f + (1 - f) / p


def pipeline(efficiency: float = 0.95) -> Callable[[float], float]:
    """T_p / T_1 of a pipeline near its bound."""
    return lambda p: max(UPDATE, GENERATE / (p - 1)) / (GENERATE + UPDATE) / efficiency


def _text(columns: Iterable[str], rows: list[dict[str, object]]) -> str:
    extra = {name: None for row in rows for name in row if name not in columns}
    cells = [{key: text_of(value) for key, value in row.items()} for row in rows]  # type: ignore[arg-type]
    return format_csv([*columns, *extra], cells)
