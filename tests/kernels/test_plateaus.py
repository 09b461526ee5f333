"""What curves of bandwidth tell of caches."""

from __future__ import annotations

import random

import pytest

from kernels.machines import curve
from kernels.machines.caches import Cache
from kernels.machines.plateaus import plateaus

KIB, MIB = 2**10, 2**20
BOTH = frozenset({0, 1})
CACHES = (Cache(1, 32 * KIB, frozenset({0})), Cache(2, 512 * KIB, frozenset({0})),
          Cache(3, 32 * MIB, BOTH))  # fmt: skip


def staircase(steps, noise=0.0, seed=0):
    """Rates at a dozen sizes a decade: GB/s by the size up to which they hold."""
    dice, found = random.Random(seed), {}
    for size in curve.sizes(CACHES, (0,)):
        rate = next(rate for end, rate in steps if size <= end)
        found[size] = rate * (1 - noise * dice.random())
    return found


def test_a_virtual_machine_s_share_is_found_and_told():
    """The numbers of a machine whose system tells of 32 MiB, of which 8 are its own."""
    found = staircase([(32 * KIB, 100), (512 * KIB, 79), (8 * MIB, 60), (1e12, 12)])
    levels = plateaus(found, CACHES, [1, 1, 1])
    assert [level.level for level in levels] == ["L1", "L2", "L3", "DRAM"]
    assert [level.gbytes_per_second for level in levels] == pytest.approx([100, 79, 60, 12])
    assert levels[2].holds == pytest.approx(8 * MIB, rel=0.2)
    assert "described with 32 MiB and holds" in levels[2].warning
    assert [level.warning for level in (*levels[:2], levels[3])] == [None] * 3


@pytest.mark.parametrize("seed", range(5))
def test_disturbed_samples_move_no_level(seed):
    steps = [(32 * KIB, 300), (512 * KIB, 150), (8 * MIB, 40), (1e12, 12)]
    levels = plateaus(staircase(steps, 0.3, seed), CACHES, [1, 1, 1])
    assert [level.level for level in levels] == ["L1", "L2", "L3", "DRAM"]
    for level, (end, rate) in zip(levels[:3], steps, strict=False):
        assert level.holds == pytest.approx(end, rel=0.4)
        assert level.gbytes_per_second == pytest.approx(rate, rel=0.3)


def test_what_lies_between_two_plateaus_is_reached_and_not_held():
    found = staircase([(32 * KIB, 300), (512 * KIB, 150), (8 * MIB, 40), (16 * MIB, 18),
                       (1e12, 12)])  # fmt: skip
    third = plateaus(found, CACHES, [1, 1, 1])[2]
    assert third.holds == pytest.approx(8 * MIB, rel=0.2)
    assert third.reaches == pytest.approx(16 * MIB, rel=0.2)


def test_a_level_that_makes_no_difference_is_none():
    levels = plateaus(staircase([(512 * KIB, 80), (1e12, 12)]), CACHES, [1, 1, 1])
    assert [level.level for level in levels] == ["L2", "DRAM"]


def test_roofs_are_measured_where_the_curve_is_highest():
    steps = [(32 * KIB, 300), (512 * KIB, 150), (8 * MIB, 40), (1e12, 12)]
    rates = staircase(steps)
    best = next(size for size in rates if size > 100 * KIB)
    rates[best] = 155.0
    rows = [
        {"threads": 1, "kind": kind, "working_set_bytes": size, "gbytes_per_second": rate}
        for size, rate in rates.items()
        for kind in curve.KINDS
    ]
    levels = curve.levels_of(rows, (0,), CACHES)
    sets = curve.working_sets(levels, rows, 1, "read")
    assert sets["L2"] == best
    assert sets["L1"] <= 32 * KIB
    assert 512 * KIB < sets["L3"] <= 8 * MIB
    assert sets["DRAM"] >= 16 * MIB


def test_sizes_are_a_dozen_a_decade_and_end_beyond_the_last_cache():
    sizes = curve.sizes(CACHES, (0,))
    assert sum(10**5 <= size < 10**6 for size in sizes) == 12
    assert 64 * MIB < sizes[-1] <= 128 * MIB
    huge = (*CACHES[:2], Cache(3, 480 * MIB, BOTH))
    assert curve.sizes(huge, (0,))[-1] <= curve.LARGEST


def test_too_short_a_curve_is_an_error():
    with pytest.raises(ValueError, match="a curve of 2 sizes"):
        plateaus({1: 1.0, 2: 1.0}, CACHES, [1, 1, 1])
