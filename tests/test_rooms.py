"""Who may import whom (docs/design.md, "Rooms")."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("sparring", "kernels", "harness", "experiments", "plots")
PLOTS_MAY = ("plots", "harness.tables.table", "harness.tables.statistics", "harness.errors")


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports anywhere, names from packages as ``package.name``."""
    package = path.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def offences(files, forbidden):
    """The imports, by file, that are forbidden."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in sorted(imports_of(path))
        if forbidden(name)
    ]


def files_of(*places: str) -> list[Path]:
    found = [
        file
        for place in places
        for file in ((ROOT / place).rglob("*.py") if (ROOT / place).is_dir() else [ROOT / place])
    ]
    assert found
    return found


def in_rooms(*rooms):
    return lambda name: name.split(".")[0] in rooms


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("harness", ("sparring", "kernels", "experiments", "plots", "torch")),
        ("sparring", ("harness", "experiments", "plots", "kernels")),
        ("experiments", ("plots",)),
        ("plots", ("sparring", "kernels", "experiments", "torch", "mpi4py")),
    ],
)
def test_room_imports_only_what_it_may(room, forbidden):
    assert not offences(files_of(room), in_rooms(*forbidden))


def test_kernels_import_only_sparring():
    files = list((ROOT / "kernels").rglob("*.py"))
    assert not offences(files, in_rooms("harness", "experiments", "plots"))


def test_plots_know_the_harness_by_its_tables_only():
    def foreign(name):
        allowed = any(name == module or name.startswith(f"{module}.") for module in PLOTS_MAY)
        return name.split(".")[0] in ROOMS and not allowed

    assert not offences(files_of("plots"), foreign)


def test_what_is_drawn_knows_nothing_else_that_is_drawn():
    packages = [path.name for path in (ROOT / "plots").iterdir() if (path / "__init__.py").exists()]
    for own in set(packages) - {"shared", "report"}:
        others = {f"plots.{name}" for name in packages if name not in (own, "shared")}
        others |= {"plots.cli", "plots.registry"}
        assert not offences(
            files_of(f"plots/{own}"),
            lambda name, others=others: any(f"{name}.".startswith(f"{o}.") for o in others),
        )


def test_protocol_code_imports_no_torch():
    files = files_of("sparring/strategies", "sparring/compute/interface.py")
    assert not offences(files, in_rooms("torch"))


def layer_of(module: str) -> str:
    """What a module counts as: its folder; at a room's top, itself."""
    parts = module.split(".")
    is_folder = (ROOT / Path(*parts)).is_dir()
    return module if is_folder or len(parts) <= 2 else ".".join(parts[:-1])


def layers_of(room: str) -> dict[str, set[str]]:
    """Which folders and top files of a room import which others.

    Parents and their own folders are one: an ``__init__`` offers what lies below it.
    """
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in files_of(room)
    }
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        own = layer_of(module)
        graph.setdefault(own, set())
        for name in imports_of(path):
            known = name if name in modules else name.rpartition(".")[0]
            if known not in modules:
                continue
            other = layer_of(known)
            if not f"{other}.".startswith(f"{own}.") and not f"{own}.".startswith(f"{other}."):
                graph[own].add(other)
    return graph


@pytest.mark.parametrize("room", ROOMS)
def test_no_circle_between_folders(room):
    try:
        tuple(TopologicalSorter(layers_of(room)).static_order())
    except CycleError as error:
        pytest.fail(f"these import each other in a circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("room", [*ROOMS, "tests"])
def test_no_folder_of_more_than_15_modules(room):
    folders = {path.parent for path in files_of(room)}
    modules = {
        folder: [file for file in folder.glob("*.py") if not file.name.startswith("__")]
        for folder in folders
    }
    assert not [str(folder) for folder, files in modules.items() if len(files) > 15]


def test_only_the_command_line_names_a_scheduler():
    """Another one is added beside Slurm without touching the rest (`harness.job`)."""
    outside = [path for path in files_of("harness") if path.parent.name != "slurm"]
    assert not offences(outside, lambda name: name.startswith("harness.slurm"))
    naming = {path.name for path in outside if '"harness.slurm' in path.read_text()}
    assert naming == {"cli.py"}  # which imports by name


@pytest.mark.parametrize(
    "module",
    [
        "harness.commands",
        "harness.launch.worker",
        "sparring.strategies",
        "sparring.modelling.simulator",
    ],
)
def test_import_loads_neither_torch_nor_scipy(module):
    """What every task, rank and emulated rank waits for before it begins."""
    code = f"import {module}, sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = result.stdout.split()
    assert module in loaded
    assert not {"torch", "scipy", "pandas"}.intersection(loaded)


def test_help_of_commands_keeps_its_lines():
    """A line that is one backspace tells click not to wrap; a raw text has two letters there."""
    raw = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in files_of(*ROOMS)
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef) and "\\b\n" in (ast.get_docstring(node) or "")
    ]
    assert not raw


@pytest.mark.parametrize("program", ["worker", "answers"])
def test_ranks_load_nothing_that_they_do_not_use(program):
    """Every rank of every launch waits for its imports, and every run for the workload's answer."""
    code = (
        f"import sys; had = set(sys.modules); import harness.launch.{program}; "
        "print(*set(sys.modules) - had)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"psutil", "pydantic", "numpy", "click", "rich", "dataclasses", "inspect", "traceback",
             "socket", "datetime", "subprocess", "typing", "platform", "csv", "select", "math",
             "harness.tables.table", "harness.machine"}  # fmt: skip
    assert not heavy.intersection(result.stdout.split())
