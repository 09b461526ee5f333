"""Chains of matrices: in which order they are multiplied, and what an order costs.

A chain of n matrices has n + 1 dimensions: matrix i has ``dims[i]`` rows and ``dims[i + 1]``
columns. An order is n - 1 products (a, b, c): matrices a to b - 1, already one matrix, times
matrices b to c - 1; each takes 2 dims[a] dims[b] dims[c] floating-point operations. Any order gives
the same matrix, at very different cost.

Source of the optimal order: T. H. Cormen, C. E. Leiserson, R. L. Rivest and C. Stein, "Introduction
to Algorithms", 3rd ed., section 15.2.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

#: A product of neighbours.
Product = tuple[int, int, int]
Order = list[Product]

#: Dynamic programming takes n³ steps and n² memory.
MOST_PLANNED = 512


def flops(dims: Sequence[int], order: Sequence[Product]) -> float:
    """Floating-point operations of an order, a multiply-add as two."""
    return float(sum(2 * dims[a] * dims[b] * dims[c] for a, b, c in order))


def left_to_right(first: int, last: int) -> Order:
    """Matrices ``first`` to ``last - 1`` from the left.

    For the Jacobians of a network with a row of gradients before them this is backpropagation.
    """
    return [(first, i, i + 1) for i in range(first + 1, last)]


def block_starts(count: int, threads: int) -> list[int]:
    """Where each thread's block begins, and the end: ``threads + 1`` numbers, blocks nearly equal.

    Raises:
        ValueError: if there are fewer matrices than threads.
    """
    if not 1 <= threads <= count:
        raise ValueError(f"{threads} threads for {count} matrices; expected a matrix for each")
    return [count * thread // threads for thread in range(threads + 1)]


def blocks(count: int, threads: int) -> Order:
    """Each block from the left, then the blocks' products from the left."""
    starts = block_starts(count, threads)
    pairs = list(itertools.pairwise(starts))
    inside = [product for pair in pairs for product in left_to_right(*pair)]
    return inside + [(0, start, end) for start, end in pairs[1:]]


def optimal(dims: Sequence[int]) -> Order:
    """The order with the fewest operations, by dynamic programming.

    Where all dimensions are equal every order costs the same: then from left to right.

    Raises:
        ValueError: for more than `MOST_PLANNED` matrices that are not all alike.
    """
    count = len(dims) - 1
    if len(set(dims)) == 1:
        return left_to_right(0, count)
    if count > MOST_PLANNED:
        raise ValueError(
            f"a chain of {count} matrices of different shapes; dynamic programming is for "
            f"{MOST_PLANNED} at most, since its time grows with the cube"
        )
    size = np.asarray(dims, np.float64)
    # best[a, c]: operations (halved) of matrices a to c - 1; split[a, c]: where they part last.
    best = np.zeros((count + 1, count + 1))
    split = np.zeros((count + 1, count + 1), np.int64)
    for length in range(2, count + 1):
        for a in range(count - length + 1):
            c = a + length
            middle = np.arange(a + 1, c)
            costs = best[a, middle] + best[middle, c] + size[a] * size[middle] * size[c]
            cheapest = int(np.argmin(costs))
            best[a, c], split[a, c] = costs[cheapest], middle[cheapest]
    order: Order = []
    pending = [(0, count)]
    while pending:  # every product before those that it needs
        a, c = pending.pop()
        if c - a > 1:
            b = int(split[a, c])
            order.append((a, b, c))
            pending += [(a, b), (b, c)]
    return order[::-1]
