"""Ask the workload whether it can run the points at all, before anything is launched.

A misspelt parameter or a missing data folder is bad input and no failed measurement: it is told at
once and leaves no row. Run as a program (``python -m harness.preflight SPEC``) this is the process
that imports the workload, so that the harness's own never does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.loading import RESULTS, load_class, search_path
from harness.points import Point, point_id
from harness.study import Study


def check_points(study: Study, points: Iterable[Point], results: Path) -> None:
    """Call the workload's ``check(parameters)``, if it has one, for each point.

    Raises:
        UserError: with the sentence of the first point that the workload refuses.
    """
    points = list(points)
    _ask("check", study, [point for point in points if not point.emulates], results)
    if study.emulated:
        _ask("check", study.emulated, [point for point in points if point.emulates], results)


def complete(study: Study, points: Iterable[Point], results: Path) -> list[Point]:
    """The points, emulated ones as their workload's ``plan(parameters)`` fills them in.

    Raises:
        UserError: with the sentence of the first point that the workload cannot fill in.
    """
    points = list(points)
    open_ones = [point for point in points if point.emulates]
    if not open_ones or study.emulated is None:
        return points
    filled = iter(_ask("plan", study.emulated, open_ones, results))
    completed = []
    for point in points:
        if point.emulates:
            parameters = next(filled)
            identity = point_id(study.emulated.workload, parameters)
            completed.append(Point(point.index, identity, parameters, emulates=True))
        else:
            completed.append(point)
    return completed


def _ask(what: str, study: Study, points: list[Point], results: Path) -> list[dict[str, Any]]:
    """Call a static method of the workload on the parameters of points; what it returns."""
    if not points:
        return []
    spec = {
        "method": what,
        "workload": study.workload,
        "search_path": search_path(study.folder),
        "points": [point.parameters for point in points],
    }
    with tempfile.TemporaryDirectory() as folder:
        file, answer = Path(folder) / "spec.json", Path(folder) / "answer.json"
        file.write_text(json.dumps({**spec, "answer": str(answer)}), encoding="utf-8")
        result = subprocess.run(
            [sys.executable, "-m", "harness.preflight", str(file)],
            env={**os.environ, RESULTS: str(results)},
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        if result.returncode == 0:
            answered: list[dict[str, Any]] = json.loads(answer.read_text(encoding="utf-8"))
            return answered
    lines = (result.stderr or result.stdout).strip().splitlines()
    reason = lines[-1] if lines else f"exit code {result.returncode}"
    emulation = study.source.data.get("emulation", {})
    emulates = study.workload == emulation.get("workload")
    key = ("emulation", "workload") if emulates else ("workload",)
    raise study.source.error(key, f"the workload refuses: {reason}")


def main(spec_path: str) -> int:
    """Ask about all points of a specification; the last line on stderr says what is wrong."""
    spec = json.loads(Path(spec_path).read_text(encoding="utf-8"))
    try:
        workload = load_class(spec["workload"], spec["search_path"])
        for method in ("setup", "run", "teardown"):
            if not callable(getattr(workload, method, None)):
                raise ValueError(f"{spec['workload']} has no method '{method}'; expected one")
        answers = list(spec["points"])
        if spec["method"] == "check":
            for parameters in answers if hasattr(workload, "check") else ():
                workload.check(parameters)
        elif hasattr(workload, "plan"):
            answers = [workload.plan(parameters) for parameters in answers]
        Path(spec["answer"]).write_text(json.dumps(answers), encoding="utf-8")
    except Exception as error:  # whatever it is, it becomes a sentence
        told = " ".join(str(error).split())
        expected = isinstance(error, ValueError | UserError)
        print(told if expected and told else f"{type(error).__name__}: {told}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
