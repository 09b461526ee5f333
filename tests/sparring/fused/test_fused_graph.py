"""Branches and their additions, and batch normalisation on its own, in the fused engine."""

from __future__ import annotations

import pytest

from sparring.fused import machine
from sparring.fused.layouts import layouts_of
from sparring.fused.recognise import recognise
from tests.sparring.fused.fused_networks import (
    EVAL_GRAPH_NETWORKS,
    GRAPH_NETWORKS,
    network,
    shape_of,
)
from tests.sparring.fused.fused_references import errors, kernels, sample

ISAS = machine._offered()


WIDEST = next(iter(ISAS))


@pytest.mark.parametrize(
    ("name", "isa"),
    [(name, WIDEST) for name in GRAPH_NETWORKS | EVAL_GRAPH_NETWORKS]
    + [(name, isa) for name in ("option-a", "norms") for isa in ISAS if isa != WIDEST],
)
def test_kernels_compute_what_float64_does(name, isa, record_property):
    found = recognise(network(name), shape_of(name))
    assert bool(found.only_attacks) == (name in EVAL_GRAPH_NETWORKS)
    assert [kind.name for kind in layouts_of(found.network, ISAS[isa])] == ["wide"]
    (library,) = kernels([name], [ISAS[isa]]).values()
    worst = errors(library, sample(name, 3, 64), (1, 3, 17, 64), 2, updates=not found.only_attacks)
    record_property(isa, worst)
    assert max(worst.values()) < 2e-5, worst
