"""The system's C++ compiler."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparring.fused.machine import BuildError

#: Seconds after which a compiler is killed.
COMPILE_SECONDS = 300.0

_PROBE_SECONDS = 60.0
_COMPILERS = ("g++", "c++", "clang++")
# Linked with any of these, a library turns denormals off for the whole process that loads it.
_REFUSED = frozenset({"-Ofast", "-ffast-math", "-funsafe-math-optimizations", "-mdaz-ftz"})
_OPENMP_PROBE = "#include <omp.h>\nint threads() { return omp_get_max_threads(); }\n"


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler.

    Attributes:
        command: its absolute path, then the arguments that $CXX gives it.
        version: what it answers to ``--version``.
    """

    command: tuple[str, ...]
    version: str

    @property
    def name(self) -> str:
        """Its file name, for messages."""
        return Path(self.command[0]).name

    def run(self, arguments: Sequence[str], log: Path) -> str | None:
        """Run it, its output in ``log``, its temporary files in the same folder.

        Returns:
            None if it succeeded, else why not, in one line.

        Raises:
            BuildError: for a flag that would change the arithmetic of the whole process.
        """
        command = [*self.command, *arguments]
        if refused := [flag for flag in command if flag in _REFUSED]:
            raise BuildError(
                f"{refused[0]} is refused: it turns denormals off in the whole process"
            )
        try:
            code = _run(command, log, COMPILE_SECONDS)
        except OSError as error:
            return f"{self.name} could not be started: {error.strerror or error}"
        except subprocess.TimeoutExpired:
            return f"{self.name} was still running after {COMPILE_SECONDS:g} s and was killed"
        if code < 0:
            return f"{self.name} was killed by signal {-code}"
        if code > 0:
            return f"{self.name} failed: {_first_error(log) or f'exit code {code}'}"
        return None

    def lacks_openmp(self, scratch: Path) -> bool:
        """Whether it refuses to build a library for the sole reason that it uses OpenMP."""
        source = scratch / "openmp.cpp"
        source.write_text(_OPENMP_PROBE)
        arguments = ["-shared", "-fPIC", "-fopenmp", str(source), "-o", str(scratch / "openmp.so")]
        try:
            return _run([*self.command, *arguments], scratch / "openmp.log", _PROBE_SECONDS) > 0
        except (OSError, subprocess.TimeoutExpired):
            return False


def find_compiler() -> Compiler:
    """$CXX if it is set, which may contain arguments, else the first of g++, c++, clang++.

    Raises:
        BuildError: if there is none, or it does not say its version.
    """
    chosen = os.environ.get("CXX", "").strip()
    try:
        candidates = [shlex.split(chosen)] if chosen else [[name] for name in _COMPILERS]
    except ValueError as error:
        raise BuildError(f"CXX={chosen} cannot be split into words: {error}") from None
    for name, *arguments in candidates:
        if path := shutil.which(name):
            command = (str(Path(path).absolute()), *arguments)
            return Compiler(command, _version(command))
    if chosen:
        raise BuildError(f"CXX={chosen}: there is no program {candidates[0][0]}")
    raise BuildError(
        f"no C++ compiler was found; expected one of {', '.join(_COMPILERS)} on PATH, or its name "
        "in the environment variable CXX"
    )


@functools.cache
def _version(command: tuple[str, ...]) -> str:
    try:
        return subprocess.run(
            [*command, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(None),
            timeout=_PROBE_SECONDS,
            check=True,
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"{shlex.join(command)} --version failed: {error}") from error


def _environment(temporary: Path | None) -> dict[str, str]:
    # What is preloaded into Python (a profiler, a sanitizer) is not meant for the compiler.
    variables = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return {**variables, "LC_ALL": "C", **({"TMPDIR": str(temporary)} if temporary else {})}


def _run(command: list[str], log: Path, limit: float) -> int:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(log.parent),
        )
        try:
            return process.wait(limit)
        except BaseException:
            _kill_tree(process)
            raise


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    import psutil

    children: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()
    process.wait()


def _first_error(log: Path) -> str:
    """The line of a compiler's log that says most."""
    lines = [" ".join(line.split()) for line in log.read_text(errors="replace").splitlines()]
    errors = [
        line for line in lines if re.search(r"\berror:|undefined reference|\bld: cannot", line)
    ]
    return next(iter([*errors, *filter(None, lines)]), "")[:300]
