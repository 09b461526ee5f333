"""The parent's side of a competitor's process."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

#: A request that takes longer fails; torch.compile takes most.
LIMIT_SECONDS = 900.0
#: Variables that set a library's number of threads.
THREADS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS",
)  # fmt: skip


class AbsentError(Exception):
    """The competitor cannot be had here; the message tells why in a few words."""


class WorkerError(Exception):
    """A competitor failed; the message is what it said."""


@dataclass(frozen=True)
class Timing:
    """What a request took.

    Attributes:
        seconds: of all calls together, without warm-up.
        calls: attacks, updates or iterations that were run.
        preparation: seconds before the first of them in which something was made for them.
    """

    seconds: float
    calls: int
    preparation: float = 0.0

    @property
    def each(self) -> float:
        """Seconds a call."""
        return self.seconds / self.calls


class Worker(Protocol):
    """A competitor that waits for requests.

    Attributes:
        version: of its package.
        backend: what computes.
        torch: PyTorch's version.
    """

    version: str
    backend: str
    torch: str

    def run(
        self, start: int, batch_size: int, steps: int, *, calls: int = 1, warmups: int = 0,
        keep: Path | None = None,
    ) -> Timing:  # fmt: skip
        """Do the task with the images from ``start``, timed, from the weights at the start.

        Args:
            start: number of the first image.
            batch_size: images.
            steps: of the attack.
            calls: how often.
            warmups: how often before that, untimed.
            keep: an .npz file for ``images``, the adversaries or what else was trained on, and of
                training ``gradients`` and ``weights`` after it.

        Raises:
            WorkerError: if the task or its process fails.
        """

    def close(self) -> None:
        """End the process."""


class Process:
    """A `Worker` that is a child process.

    Args:
        command: what to run.
        threads: threads that its libraries may use.
        log: where its stderr goes.
        limit_seconds: how long an answer may take.
        variables: further environment variables.

    Raises:
        AbsentError: if it says that its library is absent.
        WorkerError: if it does not start.
    """

    def __init__(
        self,
        command: Sequence[str],
        threads: int,
        log: Path,
        limit_seconds: float = LIMIT_SECONDS,
        variables: dict[str, str] | None = None,
    ) -> None:
        environment = {**os.environ, **dict.fromkeys(THREADS, str(threads)), **(variables or {})}
        self._log, self._limit = log, limit_seconds
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True,
                encoding="utf-8", env=environment,
            )  # fmt: skip
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            greeting = self._answer()
        except BaseException:
            self.close()
            raise
        self.version, self.backend = str(greeting["version"]), str(greeting["backend"])
        self.torch = str(greeting["torch"])

    def run(
        self, start: int, batch_size: int, steps: int, *, calls: int = 1, warmups: int = 0,
        keep: Path | None = None,
    ) -> Timing:  # fmt: skip
        """See `Worker`."""
        request = {"start": start, "batch_size": batch_size, "steps": steps, "calls": calls,
                   "warmups": warmups, "keep": str(keep) if keep else None}  # fmt: skip
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerError(self._death()) from None
        answer = self._answer()
        preparation = float(answer["preparation"])
        return Timing(float(answer["seconds"]), int(answer["calls"]), preparation)

    def close(self) -> None:
        """See `Worker`."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what a dead process did not read
                    pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # closed meanwhile
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put("")

    def _answer(self) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=self._limit)
        except queue.Empty:
            raise WorkerError(f"no answer within {self._limit:g} s") from None
        if not line:
            raise WorkerError(self._death())
        content: dict[str, Any] = json.loads(line)
        if "absent" in content:
            raise AbsentError(content["absent"])
        if "error" in content:
            raise WorkerError(content["error"])
        return content

    def _death(self) -> str:
        """How the process ended, with the last thing that it said."""
        code = self._process.wait()
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"the process ended with code {code}" + (f": {said[-1][:300]}" if said else "")


@dataclass(frozen=True)
class Launcher:
    """Starts competitors' processes.

    Attributes:
        problem: file that `sparring.benchmark.problem.Problem.save` wrote.
        folder: where logs, compiled graphs and kernels go.
        task: what they do.
    """

    problem: Path
    folder: Path
    task: str

    def __call__(self, competitor: str, threads: int) -> Worker:
        """A process of this competitor with so many threads.

        Raises:
            AbsentError: if its library is absent.
            WorkerError: if it does not start.
        """
        module = "sparring.benchmark.child"
        command = [
            sys.executable,
            "-m",
            module,
            competitor,
            self.task,
            str(threads),
            str(self.problem),
        ]
        variables = {
            # Compiled afresh in every run, so that the time to compile is one; in the process
            # itself, so that no pool of helpers stands by while others are timed.
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / f"inductor-{threads}"),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
            "SPARRING_CACHE": str(self.folder / "kernels"),  # the same for ours, once in a run
            "GIT_PYTHON_REFRESH": "quiet",  # Foolbox imports a library that wants git
        }
        log = self.folder / f"{competitor}-{self.task}-{threads}.log"
        return Process(command, threads, log, variables=variables)
