"""What the harness runs: the workload's interface, and how a study's workload is found and hashed.

A workload is any class with these methods (no base class needed)::

    class Sleep:
        version = 1                    # raise it when the meaning of the numbers changes
        modules = ()                   # modules whose source the numbers depend on
        packages = ()                  # installed packages whose version they depend on

        def setup(self, comm, parameters): ...   # every rank, once a launch, not timed
        def run(self): ...                       # timed; returns {metric: value} or None
        def teardown(self): ...                  # every rank, once a launch, not timed

and, where it needs them, of these:

``check(parameters)``, static
    Before anything is launched: raises ValueError with one sentence if it cannot run the point.

``plan(parameters) -> parameters``, static, of a workload that emulates
    When points are planned: fills in what only this machine knows, such as its newest calibration.
    ``HARNESS_RESULTS`` in the environment is the folder of the tables, here and everywhere.

``prepare(warmup: bool)``
    Before each repetition, not timed: puts back the state that the last one changed.
``observe(seconds: float) -> dict``
    After each repetition, not timed: more metrics, such as accuracies and rates.
``details() -> list[dict]``
    After each repetition: events inside it, one row each in ``<study>.details.csv``; rank 0's are
    kept.
``rank_report() -> dict``
    After each repetition, on each rank: the rank's role, phases, batches and bytes, by the
    names of `harness.tables.columns.RANK_COLUMNS`.

The class may stand in another file than the one that is named, if that one imports it by
``from package.module import Class``: the code that is hashed is that of the file that defines it.

Metrics are taken from rank 0. ``version``, ``modules`` and ``packages`` are written as literals, so
that a plan can read them without importing the workload.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.study.command import code_of
from harness.study.study import Study

if TYPE_CHECKING:  # importing MPI starts it, which only workers want
    from mpi4py import MPI


class Workload(Protocol):
    """The methods that a workload must have; the module's docstring tells the optional ones."""

    def setup(self, comm: MPI.Comm, parameters: dict[str, Any]) -> None:
        """Get ready on this rank; not timed.

        ``parameters`` are all parameters of the point, ``processes`` and ``seed`` included.
        """

    def run(self) -> dict[str, Any] | None:
        """Do the work once; timed from a barrier until the last rank is done."""

    def teardown(self) -> None:
        """Release what ``setup`` took."""


@dataclass(frozen=True)
class WorkloadCode:
    """What can be told of a workload without importing it."""

    version: str
    packages: tuple[str, ...]
    code: str
    """12 hexadecimal digits: hash of the workload's file and of the modules that it declares."""

    def joined(self, other: WorkloadCode) -> WorkloadCode:
        """The code of two workloads that fill one table; the version is the first one's."""
        both = hashlib.sha256(f"{self.code} {other.code}".encode()).hexdigest()[:12]
        packages = tuple(dict.fromkeys((*self.packages, *other.packages)))
        return WorkloadCode(self.version, packages, both)


@contextmanager
def _on_path(study: Study) -> Iterator[None]:
    """Let modules beside the study's file, and in the current folder, be found."""
    saved, known = list(sys.path), set(sys.modules)
    sys.path[:0] = study.search_path
    try:
        yield
    finally:
        sys.path[:] = saved
        # To find a.b Python imports a: another study's a may be another.
        for name in {name for name in sys.modules if name not in known}:
            if name.partition(".")[0] not in known:
                del sys.modules[name]


def inspect_workload(study: Study) -> WorkloadCode:
    """Find the workload's source and read what it declares.

    Raises:
        InputError: if the module, the class or a declared module is not to be found.
    """
    if study.command:
        return WorkloadCode(version="", packages=(), code=code_of(study))
    module, _, class_name = study.workload.partition(":")
    with _on_path(study):
        origin, definition = _class_definition(study, module, class_name)
        declared = _literals(study, definition)
        digest = hashlib.sha256()
        named = [_find(study, str(name), class_name) for name in declared["modules"]]
        for path in [origin, *named]:
            _hash_source(digest, path)
    return WorkloadCode(
        version=str(declared["version"]),
        packages=tuple(str(name) for name in declared["packages"]),
        code=digest.hexdigest()[:12],
    )


def _find(study: Study, module: str, declared_by: str = "") -> Path:
    """The file of a module: the workload's, or one that a class declares."""
    spec = _spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        places = "beside the study, in the current folder or among the installed packages"
        fault = f"there is no module '{module}' {places}; expected \"module:Class\""
        if declared_by:
            fault = f"{declared_by}.modules names '{module}', which is no module {places}"
        raise study.source.error(("workload",), f"'workload': {fault}")
    return Path(spec.origin)


def _spec(module: str) -> ModuleSpec | None:
    """Where a module would be imported from. No package above it is imported for that.

    `importlib.util.find_spec` would import them, and a package may load much, or raise.
    """
    importlib.invalidate_caches()
    top, *below = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    name = top
    for part in below:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))
    return spec


def _class_definition(study: Study, module: str, name: str) -> tuple[Path, ast.ClassDef]:
    """The file that defines a class, and the definition; names that were imported are followed."""
    first, seen = _find(study, module), set()
    while (module, name) not in seen:
        seen.add((module, name))
        origin = _find(study, module)
        tree = _parsed(study, origin)
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return origin, node
        # A package that offers a class of a module below it: what counts is that module's code.
        module, name = _imported_as(tree, module, origin, name) or (module, name)
    raise study.source.error(
        ("workload",),
        f"'workload': {first} has no class '{study.workload.partition(':')[2]}' at its top "
        "level",
    )  # fmt: skip


def _parsed(study: Study, origin: Path) -> ast.Module:
    try:
        return ast.parse(origin.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise study.source.error(
            ("workload",), f"'workload': {origin.name} is no valid Python ({error})"
        ) from None


def _imported_as(tree: ast.Module, module: str, origin: Path, name: str) -> tuple[str, str] | None:
    """Module and name behind what a file imports at its top level by ``from a.b import C``."""
    package = module if origin.name == "__init__.py" else module.rpartition(".")[0]
    for node in reversed(tree.body):  # of two imports the later one counts
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            if (alias.asname or alias.name) != name:
                continue
            dots = "." * node.level + (node.module or "")
            with contextlib.suppress(ImportError, ValueError):  # beyond the outermost package
                return importlib.util.resolve_name(dots, package or None), alias.name
    return None


def _literals(study: Study, definition: ast.ClassDef) -> dict[str, Any]:
    declared: dict[str, Any] = {"version": 0, "modules": (), "packages": ()}
    for node in definition.body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign) and node.value
            else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and target.id in declared:
                assert isinstance(node, ast.Assign | ast.AnnAssign)
                assert node.value is not None
                try:
                    declared[target.id] = ast.literal_eval(node.value)
                except (ValueError, TypeError, SyntaxError):
                    raise study.source.error(
                        ("workload",),
                        f"'workload': {definition.name}.{target.id} must be a literal, so that a "
                        "plan can read it without importing the workload",
                    ) from None
    for name in ("modules", "packages"):
        if not isinstance(declared[name], tuple | list):
            raise study.source.error(
                ("workload",),
                f"'workload': {definition.name}.{name} is {declared[name]!r}; expected a tuple of "
                'names such as ("numpy",)',
            )
    return declared


def _hash_source(digest: hashlib._Hash, path: Path) -> None:
    """Feed a module's file, or all source files of a package, to the hash."""
    if path.name == "__init__.py":
        files = sorted(
            file
            for file in path.parent.rglob("*")
            if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith(".")
        )
        root = path.parent.parent
    else:
        files, root = [path], path.parent
    for file in files:
        digest.update(file.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
