"""Which kernel takes which images."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.fused.layouts import Layout, layouts, plan
from sparring.fused.machine import Isa

KINDS = {lanes: layouts(Isa("", lanes, ())) for lanes in (4, 8, 16)}


def time_of(pieces, threads, kinds):
    """Rounds of blocks over the threads, one piece after the other."""
    total = 0.0
    for number, count in pieces:
        blocks = -(-count // kinds[number].block)
        total += -(-blocks // threads) * kinds[number].cost
    return total


def sizes(pieces):
    return [(piece.layout, piece.images.stop - piece.images.start) for piece in pieces]


@given(count=st.integers(0, 3000), threads=st.integers(1, 200), lanes=st.sampled_from([4, 8, 16]))
def test_every_image_is_taken_once_in_order(count, threads, lanes):
    kinds = KINDS[lanes]
    pieces = plan(count, threads, kinds)
    taken = [i for piece in pieces for i in range(*piece.images.indices(count))]
    assert taken == list(range(count))
    assert all(piece.images.start < piece.images.stop for piece in pieces)
    assert len(pieces) <= 2
    if len(pieces) == 2:
        assert pieces[0].layout == 0
        assert pieces[0].images.stop % kinds[0].block == 0


@pytest.mark.parametrize("lanes", KINDS)
@pytest.mark.parametrize("threads", [1, 2, 3, 4, 7, 16])
def test_no_wide_blocks_and_one_layout_for_the_rest_end_earlier(lanes, threads):
    kinds = KINDS[lanes]
    for count in range(1, 6 * lanes * threads if threads < 5 else 3 * lanes * threads):
        mine = time_of(sizes(plan(count, threads, kinds)), threads, kinds)
        fewest = min(
            time_of([(0, full), (number, count - full)], threads, kinds)
            for full in range(0, count + 1, kinds[0].block)
            for number in range(len(kinds))
        )
        assert mine == pytest.approx(fewest), (count, threads)


@given(count=st.integers(0, 500), threads=st.integers(1, 16), lanes=st.sampled_from([4, 8, 16]))
def test_the_choice_is_the_same_every_time(count, threads, lanes):
    kinds = KINDS[lanes]
    again = layouts(Isa("another", lanes, ("-flag",)))
    assert plan(count, threads, kinds) == plan(count, threads, again)


def test_one_image_and_full_blocks_take_the_layout_made_for_them():
    assert sizes(plan(1, 1, KINDS[16])) == [(1, 1)]
    assert sizes(plan(16, 1, KINDS[16])) == [(0, 16)]
    assert sizes(plan(17, 1, KINDS[16])) == [(0, 16), (1, 1)]
    assert sizes(plan(64, 4, KINDS[16])) == [(0, 64)]
    assert sizes(plan(4, 4, KINDS[16])) == [(1, 4)]
    assert sizes(plan(16, 2, KINDS[16])) == [(1, 16)]


def test_of_equally_fast_ones_the_first_is_chosen():
    kinds = (Layout("one", (), 4, 1.0), Layout("other", (), 4, 1.0))
    assert sizes(plan(8, 1, kinds)) == [(0, 8)]
