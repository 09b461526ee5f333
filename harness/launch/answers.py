"""Import a workload and ask it whether it can run points (``python -m harness.launch.answers``).

Started by `harness.launch.preflight`; nobody types it. Whoever runs a study waits for it, so that
it imports no more than the workload needs.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from harness import current_folder

    current_folder.leave()

import json
import os

from harness.errors import UserError
from harness.launch.loading import load_class

TYPE_CHECKING = False  # nothing is imported for this
if TYPE_CHECKING:
    from typing import Any


def main(answered: int) -> None:
    """Answer the question that stands on standard input."""
    question = json.load(sys.stdin)
    with os.fdopen(answered, "w", encoding="utf-8") as file:
        file.write(json.dumps(_answer_to(question)))


def _answer_to(question: dict[str, Any]) -> dict[str, Any]:
    name, method, points = question["workload"], question["method"], question["points"]
    try:
        workload = load_class(name, question["search_path"])
        for required in ("setup", "run", "teardown"):
            if not callable(getattr(workload, required, None)):
                raise ValueError(f"{name} has no method '{required}'; expected one")
        answers = points
        if method == "check":
            for parameters in points if hasattr(workload, "check") else ():
                workload.check(parameters)
        elif hasattr(workload, "plan"):
            answers = [workload.plan(parameters) for parameters in points]
            json.dumps(answers)  # parameters are what JSON can hold
    except SystemExit as error:
        reason = f"it ended the program (sys.exit({error.code!r})) when it was imported or in "
        return {"refused": f"{reason}{method}(); expected a return, or a ValueError"}
    except Exception as error:  # whatever it is, it becomes a sentence
        return {"refused": _sentence(error)}
    return {"answers": answers}


def _sentence(error: Exception) -> str:
    told = " ".join(str(error).split())
    expected = isinstance(error, ValueError | UserError)
    return told if expected and told else f"{type(error).__name__}: {told}"


if __name__ == "__main__":
    main(int(sys.argv[1]))
