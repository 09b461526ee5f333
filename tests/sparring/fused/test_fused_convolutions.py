"""Groups, dilation, sides of their own and windows over the edge in the fused engine."""

from __future__ import annotations

import pytest

from sparring.fused import machine
from sparring.fused.layouts import layouts_of
from sparring.fused.recognise import recognise
from tests.sparring.fused.fused_networks import GENERAL_NETWORKS, network, shape_of
from tests.sparring.fused.fused_references import errors, kernels, sample

ISAS = machine._offered()


@pytest.mark.parametrize("name", GENERAL_NETWORKS)
@pytest.mark.parametrize("isa", ISAS)
def test_kernels_compute_what_float64_does(name, isa, record_property):
    found = recognise(network(name), shape_of(name)).network
    assert [kind.name for kind in layouts_of(found, ISAS[isa])] == ["wide"]
    (library,) = kernels([name], [ISAS[isa]]).values()
    worst = errors(library, sample(name, 3, 64), (1, 3, 17, 64), 2)
    record_property(isa, worst)
    assert max(worst.values()) < 2e-5, worst
