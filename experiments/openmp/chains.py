"""Chain products: random chains of a setting, and every way to multiply them."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scipy.special import digamma
from torch import Tensor

from experiments.openmp.rounds import Way, rounds, warm_up
from harness.machine import memory_bytes
from kernels.chains import orders as chains
from kernels.chains.products import ChainProducts, Prepared

#: Columns of the matrix by which results are compared with float64.
_PROBES = 8
_SAFETY = 16.0


@dataclass(frozen=True)
class Chain:
    """A chain's name and dimensions."""

    name: str
    dims: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of its matrices in float32."""
        return sum(4 * a * b for a, b in zip(self.dims, self.dims[1:], strict=False))


def chains_of(parameters: dict[str, Any]) -> list[Chain]:
    """The chains of a point.

    ``shapes`` is ``equal`` (``matrices`` of ``dimension`` x ``dimension``), ``random`` (``draws``
    times ``matrices`` with dimensions from 1 to ``dimension``, the same for the same ``seed``), or
    the dimensions themselves, chains parted by a semicolon: ``"1 50 8000; 1 80 5000"``.

    Raises:
        ValueError: if a parameter is missing or out of range.
    """
    shapes = str(parameters.get("shapes"))
    if shapes not in ("equal", "random"):
        return [_given(text) for text in shapes.split(";")]
    count, size = _number(parameters, "matrices", 2), _number(parameters, "dimension", 1)
    if shapes == "equal":
        return [Chain(f"{count} of {size} x {size}", (size,) * (count + 1))]
    generator = torch.Generator().manual_seed(int(parameters.get("seed", 0)))
    drawn = torch.randint(
        1, size + 1, (_number(parameters, "draws", 1), count + 1), generator=generator
    )
    return [Chain(f"{count} of 1 to {size}", tuple(dims)) for dims in drawn.tolist()]


def _given(text: str) -> Chain:
    words = text.split()
    if len(words) < 3 or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise ValueError(f"shapes is {text!r}; expected equal, random, or three or more dimensions "
                         "from 1, such as '1 50 8000 1440 768'")  # fmt: skip
    return Chain(" x ".join(words), tuple(map(int, words)))


def _number(parameters: dict[str, Any], name: str, least: int) -> int:
    value = parameters.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}; expected a number from {least}")
    return value


def matrices(dims: Sequence[int], seed: int) -> list[Tensor]:
    """Random normal matrices, scaled so that their product neither vanishes nor overflows.

    A row times a matrix of n columns grows by E log|x| = (log 2 + psi(n / 2)) / 2, x normal of n
    numbers: that is divided out (C. M. Newman, "The distribution of Lyapunov exponents: exact
    results for random matrices", Communications in Mathematical Physics 103, 1986).
    """
    generator = torch.Generator().manual_seed(seed)
    made = []
    for rows, columns in itertools.pairwise(dims):
        scale = math.exp(-(math.log(2) + float(digamma(columns / 2))) / 2)
        made.append(torch.randn(rows, columns, generator=generator).mul_(scale))
    return made


def bound(dims: Sequence[int]) -> float:
    """How far a float32 product may lie from float64's, relative, in norm.

    Rounding errors of a sum of k products grow with sqrt(k) units of 2^-24 where they are random
    (N. J. Higham and T. Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM
    Journal on Scientific Computing 41(5), 2019), those of n products with sqrt(n); times 16.
    """
    return float(_SAFETY * 2.0**-24 * (max(dims[1:-1]) * (len(dims) - 2)) ** 0.5)


class Reference:
    """The chain in float64, times a few random columns: cheap also where the chain is long.

    A wrong product is told apart by random vectors (R. Freivalds, "Probabilistic machines can use
    less running time", IFIP Congress 1977).
    """

    def __init__(self, chain: Sequence[Tensor]) -> None:
        generator = torch.Generator().manual_seed(1)
        columns = (chain[-1].shape[1], _PROBES)
        self._probes = torch.randn(columns, generator=generator, dtype=torch.float64)
        self._expected = self._probes
        for matrix in reversed(chain):
            self._expected = matrix.double() @ self._expected

    def error(self, product: Tensor) -> float:
        """The distance of a product from float64's, over its norm, as the columns see it."""
        distance = (product.double() @ self._probes - self._expected).norm()
        return float(distance / self._expected.norm())


class ChainPart:
    """All ways to multiply the chains of a point, with up to ``threads`` threads."""

    def __init__(self, parameters: dict[str, Any], threads: Sequence[int]) -> None:
        self.chains, self.threads = chains_of(parameters), list(threads)
        self.python, self.seed = bool(parameters.get("python_threads")), int(parameters["seed"])

    def measure(self, count: int, seed: int, warmup: bool) -> list[dict[str, Any]]:
        """So many rounds of every chain; of many random ones a warm-up takes only the first."""
        random = len({chain.name for chain in self.chains}) == 1
        found: list[dict[str, Any]] = []
        for draw, chain in enumerate(self.chains[:1] if warmup and random else self.chains):
            made = matrices(chain.dims, 1000 * self.seed + draw)
            ways = self._ways(chain, made)
            warm_up(ways)
            rows = rounds(ways, count, seed + draw)
            found += [{"chain": chain.name, "draw": draw, **row} for row in rows]
        return found

    def _ways(self, chain: Chain, made: Sequence[Tensor]) -> list[Way]:
        products, dims, count = ChainProducts(made), chain.dims, len(made)
        alike = len(set(dims)) == 1
        check = _Check(products, Reference(made), bound(dims))
        planned = time.perf_counter()
        best = chains.optimal(dims)
        planning = {"planning_seconds": time.perf_counter() - planned}
        from_left = chains.left_to_right(0, count)
        ways: list[Way] = []
        for threads in self.threads:
            ways.append(check.way("sequential", threads, products.in_order(from_left, threads)))
            if not alike:  # else it is the sequential one
                ways.append(check.way("optimal", threads, products.in_order(best, threads)))
                ways[-1].facts = planning
            if count <= chains.MOST_PLANNED:
                ways.append(check.way("multi_dot", threads, products.multi_dot(threads)))
            ways.append(check.way("queue", threads, products.queue(threads)))
            if 1 < threads <= count:  # one block is the sequential way
                ways.append(check.way("blocks", threads, products.blocks(threads)))
            if self.python and threads <= count:
                prepared = products.python_blocks(threads)
                ways.append(check.way("python_blocks", threads, prepared))
        return ways


#: Ways whose threads work between products: their order is also timed on one thread.
_BETWEEN = ("queue", "blocks")


@dataclass(frozen=True)
class _Check:
    """Ways whose every result is compared with float64."""

    products: ChainProducts
    reference: Reference
    bound: float

    def way(self, name: str, threads: int, prepared: Prepared) -> Way:
        last: list[Tensor] = []

        def run() -> None:
            last[:] = [prepared.run()]

        def after(calls: int) -> dict[str, Any]:
            error = self.reference.error(last.pop())
            if not error <= self.bound:
                raise RuntimeError(f"{name} on {threads} threads is {error:.1e} from float64; "
                                   f"expected at most {self.bound:.1e}")  # fmt: skip
            order = prepared.order()
            facts = {
                "flops": chains.flops(self.products.dims, order),
                "error": error, "error_bound": self.bound,
            }  # fmt: skip
            replayed = name in _BETWEEN and threads > 1
            return facts | (self._replay(order, calls) if replayed else {})

        return Way(name, threads, run, after=after)

    def _replay(self, order: chains.Order, calls: int) -> dict[str, float]:
        """The same products one after another on one thread: what the order itself costs."""
        prepared = self.products.in_order(order, 1)
        started = time.perf_counter()
        for _ in range(calls):
            prepared.run()
        return {"replay_seconds": (time.perf_counter() - started) / calls}


def check(parameters: dict[str, Any]) -> None:
    """Refuse chains that cannot be made or held.

    Raises:
        ValueError: with one sentence.
    """
    found = chains_of(parameters)
    for chain in found:
        if len(set(chain.dims)) > 1 and len(chain.dims) - 1 > chains.MOST_PLANNED:
            raise ValueError(f"matrices is {len(chain.dims) - 1}; expected at most "
                             f"{chains.MOST_PLANNED} where shapes differ")  # fmt: skip
    needed, there = max(chain.size for chain in found), memory_bytes()
    if 2 * needed > there:  # products take some as well
        raise ValueError(f"the chain takes {needed / 1e9:.1f} GB and this machine has "
                         f"{there / 1e9:.1f} GB; expected half of it at most")  # fmt: skip
