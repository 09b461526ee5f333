"""Random chains one by one: where the task queue beats the blocks, and where it does not."""

from __future__ import annotations

from dataclasses import dataclass

from harness.tables.statistics import Summary
from plots.openmp.table import Chain, grouped, over_launches, way_of
from plots.shared.bootstrap import wilson


@dataclass(frozen=True)
class Draw:
    """One random chain with the most threads.

    Attributes:
        number: of the draw.
        time: the queue's time over the blocks' in the same round.
        work: the queue's FLOPs over the blocks'.
    """

    number: int
    time: Summary
    work: Summary


def draws(chain: Chain) -> list[Draw]:
    """The draws of a kind of random chains, as far as both ways were timed."""
    most, found = chain.threads, []
    for number, rows in grouped(chain.rows, lambda row: int(row["draw"])).items():
        times, works = [], []
        together = grouped(rows, lambda row: (row["launch"], row["repetition"], row["round"]))
        for members in together.values():
            ways = {way_of(row): row for row in members}
            queue, blocks = ways.get(("queue", most)), ways.get(("blocks", most))
            if queue and blocks:
                times.append((queue, float(queue["seconds"]) / float(blocks["seconds"])))
                works.append((queue, float(queue["flops"]) / float(blocks["flops"])))
        time, work = over_launches(times), over_launches(works)
        if time and work:
            found.append(Draw(number, time, work))
    return found


def describe(found: list[Draw]) -> str:
    """Who won how often, and how often the one with fewer operations did."""
    wins = sum(draw.time.median < 1 for draw in found)
    fewer = sum((draw.time.median < 1) == (draw.work.median < 1) for draw in found)
    low, high = wilson(wins / len(found), len(found))
    return (
        f"the task queue was faster than the blocks in {wins} of {len(found)} draws "
        f"({100 * low:.0f} to {100 * high:.0f} % of all such chains); in {fewer} of {len(found)} "
        "the one with fewer FLOPs was the faster"
    )
