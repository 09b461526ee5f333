"""Which parameters set panels apart, and which merely follow from the scaling axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import UserError
from plots.shared.observations import Row, Selection, text

#: Columns that a panel shows side by side, or that number the measurements.
AXES = frozenset({
    "strategy", "variant", "processes", "threads_per_process", "cores", "source", "seed",
    "definition", "size",
})  # fmt: skip

#: What makes two trainings the same problem: T_1 must agree in these. In strong scaling a change in
#: one of them is never taken for a consequence of the number of processes.
PROBLEM = (
    "backend", "dtype", "dataset", "network", "attack", "adversary_steps", "step_size",
    "batch_size", "updates", "epochs",
)  # fmt: skip

#: How long a run is. Emulated and measured points of one problem may differ in it, since speed-ups
#: compare points of one source.
LENGTHS = ("updates", "epochs")

DEFINITIONS = {
    "slides": "the slides' definition: adversary steps = p",
    "report": "the report's definition: steps = p - 1, one update step of work per generator",
    "classical": "the classical definition: global batch = b p, updates fixed",
}


@dataclass(frozen=True)
class Facet:
    """One row of panels.

    Attributes:
        configuration: the parameters that set this row apart, with their values as text.
        definition: the definition of weak scaling, or None.
        rows: the observations, those of the baseline included.
    """

    configuration: tuple[tuple[str, str], ...]
    definition: str | None
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """The configuration in words; empty if no parameter varies."""
        return ", ".join(in_words(name, value) for name, value in self.configuration)


def in_words(name: str, value: str) -> str:
    """A parameter and its value as a figure says them."""
    phrases = {
        "adversary_steps": f"{value} adversary step{'' if value == '1' else 's'}",
        "batch_size": f"batch size {value}",
        "updates": f"{value} updates",
    }
    return phrases.get(name, f"{name.replace('_', ' ')} {value}")


def split(selection: Selection, kind: str) -> tuple[list[Facet], tuple[str, ...]]:
    """The rows of panels, and the names of parameters that follow from the scaling axis.

    A row with an empty cell for a parameter belongs to the panels of all its values. Where no
    sequential row has a panel's exact parameters, those of the same problem stand in.

    Raises:
        UserError: if a definition of weak scaling is unknown.
    """
    rows = selection.rows
    names, derived = _facet_names(rows, selection.parameters, kind)
    definitions: list[str | None] = [None]
    if kind == "weak":
        found = {row["definition"] for row in rows if row.get("definition") is not None}
        unknown = sorted(found - set(DEFINITIONS))
        if unknown:
            raise UserError(f"{selection.path}: definition '{unknown[0]}' is unknown, expected "
                            f"one of {', '.join(DEFINITIONS)}")  # fmt: skip
        definitions = [name for name in DEFINITIONS if name in found] or ["classical"]
    facets = []
    for definition in definitions:
        own = [row for row in rows if row.get("definition") in (definition, None)]
        keys = {tuple(text(row[name]) for name in names) for row in own if _complete(row, names)}
        for key in sorted(keys or {("",) * len(names)}, key=_natural):
            values = dict(zip(names, key, strict=True))
            members = [row for row in own if _matches(row, values)]
            if not any(_is_sequential(row) for row in members):
                problem = {name: values[name] for name in names if name in PROBLEM}
                members += [r for r in own if _is_sequential(r) and _matches(r, problem)]
            if all(_is_sequential(row) for row in members) and len(keys) > 1:
                others = [row for row in own if not _is_sequential(row)]
                if others:  # a baseline alone makes no panel
                    continue
            facets.append(Facet(tuple(values.items()), definition, tuple(members)))
    return facets, derived


def constants(selection: Selection, facets: Sequence[Facet]) -> tuple[tuple[str, str], ...]:
    """Parameters of the problem with one value throughout."""
    varying = {name for facet in facets for name, _ in facet.configuration}
    found = []
    for name in PROBLEM:
        values = {text(row[name]) for row in selection.rows if row.get(name) is not None}
        if len(values) == 1 and name not in varying:
            found.append((name, values.pop()))
    return tuple(found)


def _facet_names(
    rows: Sequence[Row], parameters: Sequence[str], kind: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names: list[str] = []
    derived: list[str] = []
    for name in dict.fromkeys(("backend", *parameters)):
        values = {text(row.get(name)) for row in rows if row.get(name) is not None}
        if name in AXES or len(values) < 2 or _goes_by_source(rows, name, kind):
            continue
        if kind == "weak":
            follows = _is_function(rows, name, ("definition", "size", *_unsized(rows)))
        else:
            # A rate says how much work was done, whatever it was.
            free = (*LENGTHS, "batch_size") if kind == "throughput" else ()
            follows = (name not in PROBLEM or name in free) and _is_function(
                rows, name, ("strategy", "variant", "processes")
            )
        (derived if follows else names).append(name)
    return tuple(names), tuple(derived)


def _goes_by_source(rows: Sequence[Row], name: str, kind: str) -> bool:
    """Whether the length of a run depends on nothing but whether it was emulated.

    In weak scaling also on the size: T_1 is of the same size.
    """
    kinds = [{**row, "source": row["source"].replace("oversubscribed", "measured")} for row in rows]
    of = ("source", "definition", "size") if kind == "weak" else ("source",)
    return name in LENGTHS and _is_function(kinds, name, of)


def lengths(rows: Sequence[Row], kind: str) -> tuple[str, ...]:
    """For every length that differs between sources, what it is in each, in words."""
    told = []
    for name in LENGTHS:
        known: dict[str, set[int]] = {}
        for row in rows:
            if row.get(name) is not None:
                known.setdefault(text(row["source"]), set()).add(int(row[name]))
        if len(set().union(*known.values())) > 1 and _goes_by_source(rows, name, kind):
            each = ", ".join(
                f"{min(values)} ({source})" if len(values) == 1
                else f"{min(values)} to {max(values)} by size ({source})"
                for source, values in sorted(known.items())
            )  # fmt: skip
            told.append(f"{name}: {each}")
    return tuple(told)


def _unsized(rows: Sequence[Row]) -> tuple[str, ...]:
    return () if rows[0].get("size") is not None else ("processes",)


def _is_function(rows: Sequence[Row], name: str, of: Sequence[str]) -> bool:
    """Whether the columns ``of`` determine the column ``name``."""
    seen: dict[tuple[str, ...], str] = {}
    return all(
        seen.setdefault(tuple(text(row.get(key)) for key in of), text(row[name])) == text(row[name])
        for row in rows
        if row.get(name) is not None
    )


def _is_sequential(row: Row) -> bool:
    return bool(row.get("strategy") == "sequential")


def _complete(row: Row, names: Sequence[str]) -> bool:
    return all(row[name] is not None for name in names)


def _matches(row: Row, values: dict[str, str]) -> bool:
    return all(row[name] is None or text(row[name]) == value for name, value in values.items())


def _natural(key: tuple[str, ...]) -> tuple[tuple[float, str], ...]:
    """Numbers by value, then words by letter."""

    def rank(value: str) -> tuple[float, str]:
        try:
            return float(value), value
        except ValueError:
            return float("inf"), value

    return tuple(rank(value) for value in key)
