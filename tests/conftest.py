"""Settings of all tests, and which of them start ranks."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import forked, precompiled

# Shared machines stall for a second now and then: an example's time says nothing about the code.
settings.register_profile("sparring", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sparring")

#: Helpers that start ranks, by name; what calls them is marked `ranks`.
LAUNCHING = frozenset({"run_ranks", "find_launcher", "harness"})
#: Programs that start ranks.
LAUNCHERS = frozenset({"mpiexec", "mpiexec.hydra", "mpirun", "srun"})
#: Files that take most of the CPU time, mostly to compile kernels: not in `make test-fast`. The
#: longest first, in which order they are run: at the end all workers have short ones left.
SLOW = (
    "test_fused_engine",
    "test_fused_pooling",
    "test_fused_ties",
    "test_counted",
    "test_fused_sanitizers",
    "test_fused_attacks",
    "test_fused_curves",
    "test_fused_eval_mode",
    "test_fused_changes",
    "test_fused_training",
    "test_stages",
    "test_fused_serving",
    "test_fused_in_place",
)
#: Further flags for the compiler of kernels.
FLAGS_VARIABLE = "SPARRING_CXXFLAGS"
#: Little is optimised, and no loop unrolled: g++ takes half as long for a kernel in tiles.
QUICKLY = "-Og -DUNROLL="
#: Days for which a kernel that nobody reads is kept.
KERNEL_DAYS = 7


def reaches(function: Callable[..., object], names: frozenset[str]) -> bool:
    """Whether a function of these tests, or one of them that it calls, uses one of the names."""
    seen: set[types.CodeType] = set()
    left: list[tuple[types.CodeType, dict[str, object]]] = []

    def add(found: object) -> None:
        found = getattr(found, "__wrapped__", found)
        if (
            isinstance(found, types.FunctionType)
            and "tests" in Path(found.__code__.co_filename).parts
        ):
            left.append((found.__code__, found.__globals__))

    add(getattr(getattr(function, "hypothesis", None), "inner_test", function))
    while left:
        code, variables = left.pop()
        if code in seen:
            continue
        seen.add(code)
        if names.intersection(code.co_names):
            return True
        left += [(part, variables) for part in code.co_consts if isinstance(part, types.CodeType)]
        for name in code.co_names:
            add(variables.get(name))
    return False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long, and run it first; mark what starts ranks, itself or in a fixture."""
    places = {name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: places.get(item.path.stem, len(SLOW)))  # others stay as they are
    for item in items:
        if item.path.stem in SLOW or item.path.parent.name == "experiments":
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.ranks)
        if not isinstance(item, pytest.Function) or item.get_closest_marker("ranks"):
            continue
        fixtures = [used for group in item._fixtureinfo.name2fixturedefs.values() for used in group]
        if any(reaches(one, LAUNCHING) for one in (item.function, *(f.func for f in fixtures))):
            item.add_marker(pytest.mark.ranks)


_unmarked: list[str] = []  # what the running test started, which is not marked `ranks`
_watched = False


def starts_ranks(words: Sequence[str]) -> bool:
    """Whether a command line does: a launcher's, or the harness's that runs a study."""
    if any(Path(word).name in LAUNCHERS for word in words):
        return True
    harness = [i for i, word in enumerate(words) if word == "harness" and words[i - 1] == "-m"]
    return any(words[i + 1 : i + 2] in (["run"], ["compare"]) for i in harness)


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _watched and event == "subprocess.Popen":
        words = arguments[1] if isinstance(arguments[1], list | tuple) else [arguments[1]]
        words = [os.fsdecode(word) for word in words]
        if starts_ranks(words):
            _unmarked.append(" ".join(words))


sys.addaudithook(_watch)


@contextlib.contextmanager
def ranks_are_marked(item: pytest.Item) -> Iterator[None]:
    """A test that starts ranks unseen would run beside others, and disturb them."""
    global _watched
    _unmarked.clear()
    _watched = item.get_closest_marker("ranks") is None
    try:
        yield
    finally:
        _watched = False
    assert not _unmarked, f"mark this test with pytest.mark.ranks: it starts {_unmarked[0]}"


# Of fixtures too, whatever their scope: these hooks are around them.
@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with ranks_are_marked(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with ranks_are_marked(item):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def forked_ranks() -> Iterator[None]:
    """What ranks are forks of ends with the tests."""
    yield
    forked.stop()


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs of these tests are alone among themselves; others on this host are none of theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


def kernel_folder(config: pytest.Config, otherwise: Path) -> Path:
    """Where all workers, and later runs, find the kernels that the tests' networks need.

    In pytest's cache. A kernel's name is a hash of all that it is made from, so that an old one is
    never taken for a new one.
    """
    if getattr(config, "cache", None) is None:
        return otherwise
    folder = config.cache.mkdir("kernels")
    oldest = time.time() - KERNEL_DAYS * 86400
    for kernel in folder.glob("*.so"):
        with contextlib.suppress(OSError):
            status = kernel.stat()
            if max(status.st_atime, status.st_mtime) < oldest:
                kernel.unlink()
    return folder


@pytest.fixture(scope="session", autouse=True)
def engine_settings(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """PyTorch where a test leaves the backend open; kernels quickly compiled, in a folder of ours.

    Variables, so that they also hold in the processes and MPI ranks that tests start: a kernel
    takes seconds to compile, and the tests' small networks are many. Tests of the engine ask for
    ``backend="fused"``, or delete ``SPARRING_BACKEND`` to try ``"auto"``. What the user's own cache
    holds, or is too damaged to hold, is neither used nor changed. A kernel is compiled sooner so
    than with the flags that users get; those are of the fixture `users_flags`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARRING_BACKEND", "torch")
        folder = kernel_folder(pytestconfig, tmp_path_factory.getbasetemp() / "kernels")
        patch.setenv("SPARRING_CACHE", str(folder))
        patch.setenv(FLAGS_VARIABLE, QUICKLY)
        patch.setenv(FLAGS_VARIABLE, f"{QUICKLY} {precompiled.flags_with_headers(folder)}")
        yield


@pytest.fixture(scope="module")
def users_flags() -> Iterator[None]:
    """Kernels as users get them, fully optimised."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(FLAGS_VARIABLE)
        yield
