"""The process of one competitor: answers requests on stdin, a line of JSON each, on stdout.

``python -m sparring.benchmark.child COMPETITOR TASK THREADS PROBLEM``. The first line tells that it
is ready, or why it never will be.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, Any

from sparring.benchmark.worker import AbsentError
from sparring.errors import sentence


def main(arguments: list[str]) -> int:
    """Answer requests until stdin ends."""
    # Libraries print; what they say must not come between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    name, task, threads, problem = *arguments[:2], int(arguments[2]), Path(arguments[3])
    try:
        greeting, answer = _ready(name, task, threads, problem)
    except Exception as error:
        _say(answers, _trouble(error))
        return 1
    _say(answers, greeting)
    for line in sys.stdin:
        try:
            _say(answers, answer(json.loads(line)))
        except Exception as error:
            _say(answers, _trouble(error))
    return 0


def _ready(
    name: str, task: str, threads: int, problem_path: Path
) -> tuple[dict[str, Any], Callable[[dict[str, Any]], dict[str, Any]]]:
    """The greeting, and the function that answers requests."""
    import numpy as np
    import torch

    from sparring.benchmark.competitors import BUILDERS
    from sparring.benchmark.plan import Numbers
    from sparring.benchmark.problem import Problem
    from sparring.benchmark.training import Training

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    competitor = BUILDERS[name]
    version = competitor.version
    problem = Problem.load(problem_path)
    prepare = cache(competitor.build(task, problem, Numbers()))
    torch.set_num_threads(threads)  # no library's import is to have the last word

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        chosen = slice(request["start"], request["start"] + request["batch_size"])
        x, y = problem.images[chosen].clone(), problem.labels[chosen].clone()
        calls = int(request["calls"])
        started = time.perf_counter()
        run = prepare(request["steps"])
        preparation = time.perf_counter() - started
        for _ in range(request["warmups"]):
            run(x, y)
        if isinstance(run, Training):
            run.restore()
        started = time.perf_counter()
        for _ in range(calls):
            images = run(x, y)
        seconds = time.perf_counter() - started
        if request["keep"]:
            found = {"images": images.detach().numpy()}
            if isinstance(run, Training):
                found |= {"gradients": run.gradients().numpy(), "weights": run.weights().numpy()}
            np.savez(request["keep"], allow_pickle=False, **found)
        return {"seconds": seconds, "calls": calls, "preparation": preparation}

    return {"version": version, "backend": competitor.backend, "torch": torch.__version__}, answer


def _trouble(error: Exception) -> dict[str, Any]:
    told = sentence(error)
    if isinstance(error, AbsentError):
        return {"absent": told}
    return {"error": f"{type(error).__name__}: {told}"[:500]}


def _say(answers: IO[str], content: dict[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
