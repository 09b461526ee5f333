"""Who may import whom (docs/design.md, "Rooms")."""

from __future__ import annotations

import ast
import subprocess
import sys
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


def test_protocol_code_imports_no_torch():
    files = files_of("sparring/strategies", "sparring/compute/interface.py")
    assert not offences(files, in_rooms("torch"))


@pytest.mark.parametrize(
    "module",
    ["harness.cli", "harness.launch.worker", "sparring.strategies", "sparring.modelling.simulator"],
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
