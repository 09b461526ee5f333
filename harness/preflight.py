"""Ask the workload whether it can run the points at all, before anything is launched.

A misspelt parameter or a missing data folder is bad input and no failed measurement: it is told at
once and leaves no row. Run as a program (``python -m harness.preflight SPEC``) this is the process
that imports the workload, so that the harness's own never does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from harness.errors import UserError
from harness.loading import load_class, search_path
from harness.points import Point
from harness.study import Study


def check_points(study: Study, points: Iterable[Point]) -> None:
    """Call the workload's ``check(parameters)``, if it has one, for each point.

    Raises:
        UserError: with the sentence of the first point that the workload refuses.
    """
    points = list(points)
    if not points:
        return
    spec = {
        "workload": study.workload,
        "search_path": search_path(study.folder),
        "points": [point.parameters for point in points],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spec.json"
        file.write_text(json.dumps(spec), encoding="utf-8")
        result = subprocess.run(
            [sys.executable, "-m", "harness.preflight", str(file)],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        reason = lines[-1] if lines else f"exit code {result.returncode}"
        raise study.source.error(("workload",), f"the workload refuses: {reason}")


def main(spec_path: str) -> int:
    """Check all points of a specification; the last line on stderr says what is wrong."""
    spec = json.loads(Path(spec_path).read_text(encoding="utf-8"))
    try:
        workload = load_class(spec["workload"], spec["search_path"])
        for method in ("setup", "run", "teardown"):
            if not callable(getattr(workload, method, None)):
                raise ValueError(f"{spec['workload']} has no method '{method}'; expected one")
        if hasattr(workload, "check"):
            for parameters in spec["points"]:
                workload.check(parameters)
    except Exception as error:  # whatever it is, it becomes a sentence
        told = " ".join(str(error).split())
        expected = isinstance(error, ValueError | UserError)
        print(told if expected and told else f"{type(error).__name__}: {told}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
