"""Orders of a chain of matrices, what they cost, and their products beside float64."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernels.chains import orders as chains
from kernels.chains.products import ChainProducts

DIMS = st.lists(st.integers(1, 12), min_size=3, max_size=9)


def computes_the_chain(order, count):
    """Whether an order multiplies neighbours only, each product after those that it needs."""
    spans = {i: i + 1 for i in range(count)}
    for a, b, c in order:
        if spans.get(a) != b or spans.get(b) != c:
            return False
        del spans[b]
        spans[a] = c
    return spans == {0: count}


def fewest(dims):
    """The fewest operations of any order, by trying all of them."""

    @cache
    def cost(a, c):
        if c - a < 2:
            return 0
        return min(
            cost(a, b) + cost(b, c) + 2 * dims[a] * dims[b] * dims[c] for b in range(a + 1, c)
        )

    return cost(0, len(dims) - 1)


def matrices(dims, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(a, b, generator=generator) / b**0.5 for a, b in itertools.pairwise(dims)]


@given(DIMS)
def test_no_order_is_cheaper_than_the_optimal(dims):
    order = chains.optimal(dims)
    assert computes_the_chain(order, len(dims) - 1)
    assert chains.flops(dims, order) == fewest(tuple(dims))


@given(DIMS, st.integers(1, 8))
def test_blocks_multiply_the_whole_chain(dims, threads):
    count = len(dims) - 1
    threads = min(threads, count)
    order = chains.blocks(count, threads)
    assert computes_the_chain(order, count)
    lengths = [b - a for a, b in zip(chains.block_starts(count, threads), chains.block_starts(
        count, threads)[1:], strict=False)]  # fmt: skip
    assert max(lengths) - min(lengths) <= 1


def test_backpropagation_is_the_optimal_order_of_the_networks_chains():
    """A row of gradients in front makes every product a row times a matrix."""
    for dims in ((1, 50, 8000, 1440, 768), (1, 80, 5000, 1440, 768), (1, 10, 50, 8000, 5760, 784)):
        count = len(dims) - 1
        assert chains.optimal(dims) == chains.left_to_right(0, count)
        assert chains.flops(dims, chains.blocks(count, 2)) > 40 * chains.flops(
            dims, chains.left_to_right(0, count)
        )


def test_the_operations_of_a_product_written_out():
    assert chains.flops((2, 3, 5, 7), [(1, 2, 3), (0, 1, 3)]) == 2 * 3 * 5 * 7 + 2 * 2 * 3 * 7


def test_equal_matrices_need_no_planning():
    assert chains.optimal([3] * 5001) == chains.left_to_right(0, 5000)


@pytest.mark.parametrize("count", [chains.MOST_PLANNED + 1, 5000])
def test_a_chain_too_long_to_plan_is_refused(count):
    with pytest.raises(ValueError, match="at most"):
        chains.optimal([2, *[3] * count])


def ways(products, dims, threads):
    count = len(dims) - 1
    yield products.in_order(chains.left_to_right(0, count), threads)
    yield products.in_order(chains.optimal(dims), threads)
    yield products.multi_dot(threads)
    yield products.queue(threads)
    if threads <= count:
        yield products.blocks(threads)
        yield products.python_blocks(threads)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize(
    "dims", [(4, 5, 6), (7,) * 31, (30, 1, 40, 2, 9, 33, 5), (1, 10, 50, 80, 57, 78)]
)
def test_every_way_gives_float64s_product(dims, threads):
    made = matrices(dims)
    expected = made[0].double()
    for matrix in made[1:]:
        expected = expected @ matrix.double()
    products = ChainProducts(made)
    for way in ways(products, dims, threads):
        for _ in range(2):  # memory that is used again
            found = way.run()
            assert (found.double() - expected).norm() <= 1e-5 * expected.norm()
            assert computes_the_chain(way.order(), len(made))


@given(dims=DIMS, threads=st.integers(1, 4), seed=st.integers(0, 99))
def test_the_queues_order_can_be_replayed(dims, threads, seed):
    products = ChainProducts(matrices(dims, seed))
    way = products.queue(threads)
    found = way.run().clone()
    assert torch.equal(products.in_order(way.order(), 1).run(), found)


def test_the_queue_pairs_neighbours_as_a_tree():
    way = ChainProducts(matrices((2,) * 9)).queue(1)
    way.run()
    assert way.order()[:4] == [(0, 1, 2), (2, 3, 4), (4, 5, 6), (6, 7, 8)]
    assert way.order()[-1] == (0, 4, 8)


@pytest.mark.parametrize("threads", [1, 2])
def test_thread_settings_are_put_back(threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        for way in ways(ChainProducts(matrices((5, 6, 7, 8))), (5, 6, 7, 8), threads):
            way.run()
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([torch.ones(2, 3)], "two matrices or more"),
        ([torch.ones(2, 3), torch.ones(4, 2)], "do not fit: 3 columns, 4 rows"),
        ([torch.ones(2, 3), torch.ones(3, 2).double()], "contiguous float32"),
        ([torch.ones(2, 3), torch.ones(2, 3).T], "contiguous float32"),
        ([torch.ones(2, 0), torch.ones(0, 2)], "contiguous float32"),
    ],
)
def test_what_is_no_chain_is_refused(bad, reason):
    with pytest.raises(ValueError, match=reason):
        ChainProducts(bad)


def test_more_blocks_than_matrices_are_refused():
    with pytest.raises(ValueError, match="a matrix for each"):
        ChainProducts(matrices((2, 2, 2))).blocks(3)
