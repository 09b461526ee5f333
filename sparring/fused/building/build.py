"""Fused kernels, compiled when they are first used.

A library's name is a hash of all that it is made from, so that machines of different kinds may
share a cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shlex
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sparring.fused.building.cache import (
    cache_folder,
    is_whole,
    locked,
    scratch_folder,
    seal,
    stamp,
    writable,
)
from sparring.fused.building.compiler import Compiler, find_compiler
from sparring.fused.machine import BuildError, Isa, machine_isa, processor

__all__ = ["BuildError", "Isa", "Job", "build", "build_all", "machine_isa"]

#: Environment variable with further flags for the compiler, after the engine's own.
FLAGS_VARIABLE = "SPARRING_CXXFLAGS"

_FORMAT = 1  # of the cached files; part of every key
# Never -ffast-math: linking with it sets flush-to-zero in the process that loads the library.
_FLAGS = (
    *("-std=c++17", "-O3", "-fPIC", "-shared", "-fopenmp"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)

log = logging.getLogger(__name__)
_failures: dict[str, str] = {}  # this process's, by key


@dataclass(frozen=True)
class Job:
    """A library to build.

    Attributes:
        main: the .cpp file. Its folder is on the include path; the headers in it are sources too.
        headers: texts of generated headers, by the name they are included with.
        defines: preprocessor macros.
        isa: instruction set to compile for.
        cache: folder of the libraries; else SPARRING_CACHE, else the user's cache.
        sanitize: for ``-fsanitize=``, as "address,undefined".
        flags: more for the compiler.
    """

    main: Path
    headers: Mapping[str, str]
    defines: Mapping[str, int | str]
    isa: Isa
    cache: Path | None = None
    sanitize: str = ""
    flags: tuple[str, ...] = ()

    @property
    def all_flags(self) -> tuple[str, ...]:
        """Every flag but macros and folders; of two that contradict each other the later one holds.

        Raises:
            BuildError: if SPARRING_CXXFLAGS cannot be split into words.
        """
        check = (f"-fsanitize={self.sanitize}", "-fno-omit-frame-pointer", "-g")
        kind = (*self.isa.flags, *(check if self.sanitize else ()))
        return (*_FLAGS, *kind, *_further_flags(), *self.flags)


def _further_flags() -> list[str]:
    chosen = os.environ.get(FLAGS_VARIABLE, "")
    try:
        return shlex.split(chosen)
    except ValueError as error:
        raise BuildError(f"{FLAGS_VARIABLE}={chosen} cannot be split into words: {error}") from None


def build(
    main: Path,
    headers: Mapping[str, str],
    defines: Mapping[str, int | str],
    isa: Isa,
    *,
    cache: Path | None = None,
    sanitize: str = "",
    flags: tuple[str, ...] = (),
) -> Path:
    """The shared library of a kernel, compiled if the cache does not hold it.

    Processes that ask for the same one at the same time wait for the one that builds it. The
    arguments are the attributes of `Job`.

    Returns:
        The library's path, for ``ctypes.CDLL``.

    Raises:
        BuildError: if there is no compiler, it fails, or there is nowhere to keep the library.
            A compiler that failed is not tried again by this process.
    """
    return _build(Job(main, headers, defines, isa, cache, sanitize, flags))


def build_all(jobs: Iterable[Job]) -> list[Path]:
    """`build` several at once, on at most as many cores as this process may use.

    Raises:
        BuildError: the first job's that failed, after all have ended.
    """
    with ThreadPoolExecutor(_usable_cores()) as pool:
        futures = [pool.submit(_build, job) for job in jobs]
    return [future.result() for future in futures]


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _build(job: Job) -> Path:
    compiler = find_compiler()
    key = _key(job, compiler)
    wanted = cache_folder(job.cache)
    if is_whole(library := wanted / f"{key}.so"):
        return library
    if key in _failures:
        raise BuildError(_failures[key])
    folder, locks = writable(wanted)
    library, report = folder / f"{key}.so", folder / f"{key}.log"
    before = stamp(report)
    with locked(folder / f"{key}.lock") if locks else contextlib.nullcontext():
        if is_whole(library):
            return library  # built while we waited
        try:
            if stamp(report) not in (before, None):  # failed while we waited, and would again
                with report.open() as lines:
                    raise BuildError(lines.readline().strip())
            if library.exists():
                log.warning("%s is damaged: it is built again", library)
            _compile(job, compiler, library, report)
        except BuildError as error:
            _failures[key] = str(error)
            raise
        except OSError as error:
            raise BuildError(f"{library} could not be made: {error}") from error
    return library


def _key(job: Job, compiler: Compiler) -> str:
    """A hash of all that the library is made from."""
    siblings = [path for pattern in ("*.hpp", "*.h") for path in job.main.parent.glob(pattern)]
    parts = {
        "format": _FORMAT,
        "main": job.main.name,
        "sources": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in [job.main, *siblings]
        },
        "headers": dict(job.headers),
        "defines": {name: str(value) for name, value in job.defines.items()},
        "flags": job.all_flags,
        "compiler": (compiler.command, compiler.version),
        "processor": processor(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _compile(job: Job, compiler: Compiler, library: Path, report: Path) -> None:
    with scratch_folder(library) as scratch:
        include, made, output = scratch / "include", scratch / "library.so", scratch / "log"
        for name, text in job.headers.items():
            (include / name).parent.mkdir(parents=True, exist_ok=True)
            (include / name).write_text(text)
        macros = [f"-D{name}={value}" for name, value in sorted(job.defines.items())]
        folders = ["-I", str(include), "-I", str(job.main.absolute().parent)]
        source = [str(job.main.absolute()), "-o", str(made)]
        arguments = [*job.all_flags, *macros, *folders, *source]
        started = time.monotonic()
        reason = compiler.run(arguments, output)
        if reason and compiler.lacks_openmp(scratch):
            log.warning(
                "%s has no OpenMP: %s is built for one thread", compiler.name, job.main.name
            )
            reason = compiler.run([flag for flag in arguments if flag != "-fopenmp"], output)
        if reason:
            reason += f"; the whole log is in {report}"
            output.write_bytes(f"{reason}\n\n".encode() + output.read_bytes())
            output.replace(report)
            raise BuildError(reason)
        seal(made)
        made.replace(library)
        with contextlib.suppress(OSError):
            report.unlink()
        log.info("%s: built in %.1f s: %s", job.main.name, time.monotonic() - started, library)
