"""Expand a study's sweep into points; a point's id is a hash of its parameters."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import UserError
from harness.machine import machine_cores
from harness.study.expressions import evaluate
from harness.study.study import Study
from harness.study.toml_source import KeyPath
from harness.study.values import LAUNCH_DEFAULTS, Scalar
from harness.tables.schemas import kind_of
from harness.tables.table import text_of


@dataclass(frozen=True)
class Point:
    """One combination of parameters, with the resources that it needs.

    Attributes:
        index: its place in the study, for array tasks (``--index``).
        id: "p" and 12 hexadecimal digits, a hash of the workload's name and all
            parameters.
        parameters: all parameters, in the study's order.
        emulates: whether it is run by the study's emulation, and not by its workload.
    """

    index: int
    id: str
    parameters: dict[str, Scalar]
    emulates: bool = False

    @property
    def processes(self) -> int:
        """MPI ranks."""
        return int(self.parameters["processes"])

    @property
    def threads_per_process(self) -> int:
        """Threads that each rank computes with."""
        return int(self.parameters["threads_per_process"])

    @property
    def cores(self) -> int:
        """Processes x threads per process."""
        return self.processes * self.threads_per_process

    @property
    def nodes(self) -> int:
        """Nodes that the ranks are to be spread over; 0 leaves it to their number."""
        return int(self.parameters.get("nodes", 0))

    @property
    def source(self) -> str:
        """How rows of this point come to be on this machine."""
        if self.emulates:
            return "emulated"
        ranks = self.parameters.get("virtual_processes", 1)
        if isinstance(ranks, int) and ranks > self.processes:
            return "simulated"
        return "measured" if self.cores <= machine_cores() else "oversubscribed"

    def label(self, varying: list[str]) -> str:
        """A short name made of the parameters that vary in the study."""
        told = [f"{name}={self.parameters.get(name, '')}" for name in varying] or [self.id]
        return " ".join([*told, *(["emulated"] if self.emulates else [])])


def point_id(workload: str, parameters: dict[str, Scalar]) -> str:
    """The id of a point: the same parameters give the same id on every machine and in any order."""
    text = json.dumps([workload, parameters], sort_keys=True, separators=(",", ":"))
    # The letter keeps spreadsheets from reading 123e45678901 as a number.
    return "p" + hashlib.sha256(text.encode()).hexdigest()[:12]


def varying_parameters(points: list[Point]) -> list[str]:
    """The parameters that tell the points apart, in the study's order.

    Of those that vary, what the others determine (derived parameters, options that go with a
    variant) is left out, so that a label stays short; ``strategy`` and ``processes`` never are.
    """
    names = list(dict.fromkeys(name for point in points for name in point.parameters))

    def values(name: str) -> set[str]:
        return {repr(point.parameters.get(name)) for point in points}

    def distinct(chosen: list[str]) -> int:
        return len({
            (point.emulates, *(repr(point.parameters.get(n)) for n in chosen)) for point in points
        })  # fmt: skip

    varying = [name for name in names if len(values(name)) > 1]
    for name in sorted(varying, key=lambda name: len(values(name))):
        rest = [other for other in varying if other != name]
        if name not in ("strategy", "processes") and distinct(rest) == len(points):
            varying = rest
    return varying


def expand(study: Study) -> list[Point]:
    """All points of a study, in the order of its file.

    Raises:
        InputError: for an empty sweep, lists of unequal length, an expression that cannot be
            evaluated, values that a table cannot tell apart, or processes that are no count or
            beyond ``max_processes``.
        UserError: if points are to be emulated, and the study names no workload for that.
    """
    points = _expand(study, emulates=False)
    if study.measure.emulate:
        if study.emulated is None:
            raise UserError(
                f"{study.source.path}: --emulate {study.measure.emulate}: this study names no "
                "workload that emulates it; expected a table [emulation] with 'workload'"
            )
        points += _expand(study.emulated, emulates=True)
    _check_distinct(study, points)
    return [replace(point, index=index) for index, point in enumerate(points)]


def _check_distinct(study: Study, points: list[Point]) -> None:
    """A number and a text that is written like it would be one value in every table and figure."""
    seen: dict[tuple[str, str], Scalar] = {}
    for point in points:
        for name, value in point.parameters.items():
            other = seen.setdefault((name, text_of(value)), value)
            if kind_of(other) != kind_of(value):
                raise _value_error(
                    study, name, f"{other!r} and {value!r} look the same in tables and figures; "
                    "expected values of one kind",
                )  # fmt: skip


def _expand(study: Study, emulates: bool) -> list[Point]:
    points: dict[str, Point] = {}
    for combination in _combinations(study):
        parameters = _derive(study, {**LAUNCH_DEFAULTS, **study.parameters, **combination})
        if all(_holds(study, index, parameters) for index in range(len(study.sweep.where))):
            _check_resources(study, parameters)
            identity = point_id(study.workload, parameters)
            points.setdefault(identity, Point(len(points), identity, parameters, emulates))
    if not points:
        raise study.source.error(
            _place(study, "sweep"),
            "the sweep is empty: no combination is left after 'where'; expected at least one point",
        )
    return list(points.values())


def _place(study: Study, *path: str | int) -> KeyPath:
    """Where a merged key was written: in the preset if it stands there, else in the study."""
    return study.source.nearest(("presets", study.preset), path)


def _machine(study: Study) -> dict[str, int]:
    """What expressions may name besides parameters."""
    return {"machine_cores": machine_cores(), "emulate": study.measure.emulate}


def _values(study: Study, table: str, name: str, given: list[Scalar] | str) -> list[Scalar]:
    """The values of a swept parameter, an expression evaluated for this machine."""
    place = _place(study, "sweep", table, name)
    values: Any = given
    if isinstance(given, str):
        names = {**study.parameters, **_machine(study)}
        try:
            values = evaluate(given, names)
        except ValueError as error:
            raise study.source.error(place, f"'{name}': {error}") from None
        if not isinstance(values, list):
            raise study.source.error(
                place, f"'{name}': expected a list of values, and {given!r} gives {values!r}"
            )
    if not values:
        raise study.source.error(place, f"'{name}': the sweep is empty; expected a value or more")
    for value in values:
        if not isinstance(value, Scalar):
            raise study.source.error(
                place, f"'{name}': expected numbers, texts or truth values, found {value!r}"
            )
    return list(values)


def _combinations(study: Study) -> Iterator[dict[str, Scalar]]:
    sweep = study.sweep
    product = {name: _values(study, "product", name, v) for name, v in sweep.product.items()}
    zipped = {name: _values(study, "zip", name, v) for name, v in sweep.zip.items()}
    lengths = {name: len(values) for name, values in zipped.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"'{name}' has {length}" for name, length in lengths.items())
        raise study.source.error(
            _place(study, "sweep", "zip"), f"lists that are zipped have the same length, but {told}"
        )
    rows = [dict(zip(zipped, row, strict=True)) for row in zip(*zipped.values(), strict=True)]
    for explicit, row in itertools.product(sweep.points or [{}], rows or [{}]):
        for values in itertools.product(*product.values()):
            yield {**explicit, **row, **dict(zip(product, values, strict=True))}


def _derive(study: Study, parameters: dict[str, Scalar]) -> dict[str, Scalar]:
    """Add derived parameters, in the order of the file: a later one may use an earlier one."""
    for name, expression in study.derived.items():
        names = {**parameters, **_machine(study)}
        place = _place(study, "derived", name)
        try:
            value = evaluate(expression, names)
        except ValueError as error:
            raise study.source.error(place, f"'{name}': {error}") from None
        if not isinstance(value, Scalar):
            raise study.source.error(
                place, f"'{name}': expected a number, text or truth value, and {expression!r} "
                f"gives {value!r}"
            )  # fmt: skip
        parameters = {**parameters, name: value}
    return parameters


def _holds(study: Study, index: int, parameters: dict[str, Scalar]) -> bool:
    names = {**parameters, **_machine(study)}
    try:
        return bool(evaluate(study.sweep.where[index], names))
    except ValueError as error:
        place = _place(study, "sweep", "where", index)
        raise study.source.error(place, f"'where': {error}") from None


def _check_resources(study: Study, parameters: dict[str, Scalar]) -> None:
    for name in ("processes", "threads_per_process"):
        value = parameters[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise _value_error(study, name, f"expected a whole number from 1, found {value!r}")
    if isinstance(parameters["seed"], bool) or not isinstance(parameters["seed"], int):
        raise _value_error(study, "seed", f"expected a whole number, found {parameters['seed']!r}")
    nodes = parameters.get("nodes", 0)
    if isinstance(nodes, bool) or not isinstance(nodes, int) or nodes < 0:
        raise _value_error(study, "nodes", f"expected a whole number from 0, found {nodes!r}")
    if nodes > int(parameters["processes"]):
        raise _value_error(
            study, "nodes", f"expected a process or more on each node, found {nodes} nodes for "
            f"{parameters['processes']} processes",
        )  # fmt: skip
    limit = study.measure.max_processes
    if int(parameters["processes"]) > limit:
        raise _value_error(
            study,
            "processes",
            f"{parameters['processes']} is beyond the study's limit of {limit}; "
            "expected fewer, or a larger measure.max_processes",
        )


def _value_error(study: Study, name: str, message: str) -> UserError:
    """Point at whichever table sets the parameter."""
    if name in study.overridden:
        return UserError(f"{study.source.path}: --set {name}: {message}")
    sweep = study.sweep
    tables: list[tuple[str | int, ...]] = [("parameters", name)]
    if name in study.derived:
        tables.insert(0, ("derived", name))
    for kind, table in (("product", sweep.product), ("zip", sweep.zip)):
        if name in table:
            tables.insert(0, ("sweep", kind, name))
    for index, point in enumerate(sweep.points):
        if name in point:
            tables.insert(0, ("sweep", "points", index, name))
    return study.source.error(_place(study, *tables[0]), f"'{name}': {message}")
