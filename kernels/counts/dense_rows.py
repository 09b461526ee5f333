"""How the weights of a dense layer stand in memory."""

from __future__ import annotations

from dataclasses import dataclass

from sparring.fused.network import Dense

#: Floats in a cache line, as ``cpp/packed.hpp`` has it.
_LINE = 16


@dataclass(frozen=True)
class Rows:
    """A row of weights for each input, its outputs in panels and a tail (``cpp/packed.hpp``).

    Attributes:
        widths: outputs of each panel, those that pad it included.
        tail: outputs behind the panels.
    """

    widths: tuple[int, ...]
    tail: int

    @classmethod
    def of(cls, layer: Dense, registers: int) -> Rows:
        """The rows of a layer, for so many vector registers."""
        rest = layer.outputs % _LINE
        tail = (4 if rest == 3 else rest) if layer.outputs > _LINE and rest <= 4 else 0
        main = layer.outputs - rest if tail else _whole(layer.outputs, _LINE) * _LINE
        panels = _whole(main, 128 if registers == 32 else 64)
        width = _whole(main // _LINE, panels) * _LINE
        return cls((*[width] * (panels - 1), main - width * (panels - 1)), tail)

    @property
    def tail_lanes(self) -> int:
        """Lanes of the vector that a tail is computed in."""
        return 4 if self.tail else 0

    @property
    def numbers(self) -> int:
        """Weights in a row."""
        return sum(self.widths) + self.tail


def _whole(count: int, size: int) -> int:
    return -(-count // size)
