"""Ask the workload whether it can run the points at all, before anything is launched.

A misspelt parameter or a missing data folder is bad input and no failed measurement: it is told at
once and leaves no row. A process of its own imports the workload (`harness.launch.answers`), so
that the harness's own never does. Question and answer go through files without names, of which
nothing is left however we end.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from harness.files import naming
from harness.launch.loading import RESULTS
from harness.launch.mortal import start_mortal
from harness.launch.process import MARK, adopting, kill_tree, wait
from harness.study.command import check_command
from harness.study.points import Point, point_id
from harness.study.study import Study

log = logging.getLogger(__name__)

#: After so long a user is told what is waited for.
_PATIENCE_SECONDS = 10.0


def check_points(
    study: Study,
    points: Iterable[Point],
    results: Path,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Call the workload's ``check(parameters)``, if it has one, for each point.

    Args:
        study: the study.
        points: some of its points.
        results: folder of the tables.
        meanwhile: called while the workload is imported, if it is.

    Raises:
        UserError: with the sentence of the first point that the workload refuses.
    """
    points = list(points)
    if study.command:
        for point in points:
            check_command(study, point.parameters)
        return
    own = [point for point in points if not point.emulates]
    _ask("check", study, own, results, meanwhile)
    if study.emulated:
        emulated = [point for point in points if point.emulates]
        _ask("check", study.emulated, emulated, results, meanwhile)


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


def _ask(
    what: str,
    study: Study,
    points: list[Point],
    results: Path,
    meanwhile: Callable[[], object] = lambda: None,
) -> list[dict[str, Any]]:
    """Call a static method of the workload on the parameters of points; what it returns."""
    if not points:
        return []
    question = {
        "method": what,
        "workload": study.workload,
        "search_path": study.search_path,
        "points": [point.parameters for point in points],
    }
    answer = _answer(study, question, results, meanwhile)
    if "refused" not in answer:
        answers: list[dict[str, Any]] = answer["answers"]
        return answers
    emulation = study.source.data.get("emulation", {})
    emulates = study.workload == emulation.get("workload")
    key = ("emulation", "workload") if emulates else ("workload",)
    raise study.source.error(key, f"the workload refuses: {answer['refused']}")


def _answer(
    study: Study, question: dict[str, Any], results: Path, meanwhile: Callable[[], object]
) -> dict[str, Any]:
    """What the process that imports the workload answers; ``refused`` is a reason not to run."""
    limit, mark = study.measure.time_limit_seconds, f"preflight-{os.getpid()}"
    with (
        adopting(),  # who is left of what the import started would disturb the measurements
        tempfile.TemporaryFile("w+", encoding="utf-8") as asked,
        tempfile.TemporaryFile("w+", encoding="utf-8") as answered,
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
    ):
        with naming(Path(tempfile.gettempdir())):
            json.dump(question, asked)
            asked.seek(0)
        process = start_mortal(
            [sys.executable, "-m", "harness.launch.answers", str(answered.fileno())],
            env={**os.environ, RESULTS: str(results), MARK: mark},
            stdin=asked, stdout=said, stderr=said, pass_fds=[answered.fileno()],
        )  # fmt: skip
        try:
            meanwhile()
            code = _wait(process, limit, f"{study.workload} ({question['method']})")
        finally:
            if process.poll() is None:
                kill_tree(process, mark)
        answered.seek(0)
        said.seek(0)
        if text := answered.read():
            answer: dict[str, Any] = json.loads(text)
            return answer
        words = [line.strip() for line in said.read().splitlines() if line.strip()]
    if code is None:
        reason = f"no answer after {limit:g} s (measure.time_limit_seconds), while it was imported"
        return {"refused": f"{reason} or in {question['method']}()"}
    reason = f"exit code {code} and no answer"
    return {"refused": f"{words[-1]} ({reason})" if words else reason}


def _wait(process: subprocess.Popen[bytes], limit: float, asked: str) -> int | None:
    """The exit code, or None if the limit comes first; tells the user after a while."""
    patience = min(_PATIENCE_SECONDS, limit)
    code = wait(process, patience)
    if code is None and patience < limit:
        log.warning("%s has not answered yet; waiting for up to %g s", asked, limit)
        code = wait(process, limit - patience)
    return code
