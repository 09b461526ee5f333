"""Branches as the kernels have them: a value goes to two layers, and to one addition, at most.

Where a model has more, copies are put in between: layers that hand on what they take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparring.fused.network import IMAGE, Front, Padding


@dataclass(frozen=True)
class Placed:
    """A layer of the front in its new place.

    Attributes:
        layer: what it does.
        sources: the layers that it takes, by their new numbers.
        number: that it had; None of a copy.
    """

    layer: Front
    sources: tuple[int, ...]
    number: int | None


def branch(
    front: Sequence[Front], sources: Sequence[tuple[int, ...]], image: tuple[int, int, int]
) -> list[Placed]:
    """The layers of the front, with copies where a value has more takers than the kernels allow.

    Args:
        front: in the order in which they are computed.
        sources: the layers that each takes, `IMAGE` being before the first.
        image: (channels, height, width).
    """
    takers: dict[int, list[tuple[int, int]]] = {n: [] for n in range(IMAGE, len(front))}
    for number, taken in enumerate(sources):
        for port, source in enumerate(taken):
            takers[source].append((number, port))
    placed: list[Placed] = []
    chosen: dict[tuple[int, int], int] = {}  # for each taker the new number of what it takes
    for number in range(IMAGE, len(front)):
        if number != IMAGE:
            taken = tuple(chosen[number, port] for port in range(len(sources[number])))
            placed.append(Placed(front[number], taken, number))
        # Additions first: where there is more than one, each takes a copy of its own.
        waiting = sorted(takers[number], key=lambda taker: len(sources[taker[0]]) == 1)
        while _too_many(waiting, sources):
            chosen[waiting.pop(0)] = len(placed) - 1
            shape = image if number == IMAGE else _shape(front[number])
            placed.append(Placed(Padding(*shape), (len(placed) - 1,), None))
        chosen |= dict.fromkeys(waiting, len(placed) - 1)
    return placed


def _too_many(takers: Sequence[tuple[int, int]], sources: Sequence[tuple[int, ...]]) -> bool:
    additions = sum(len(sources[number]) > 1 for number, _ in takers)
    return len(takers) > 2 or additions > 1


def _shape(layer: Front) -> tuple[int, int, int]:
    return (layer.out_channels, layer.out_height, layer.out_width)
