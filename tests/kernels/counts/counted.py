"""The engine's own count of its operations, stage by stage (``counting.cpp``)."""

from __future__ import annotations

import platform
from pathlib import Path

import torch
from torch import Tensor, nn

from kernels.measure.stages import Key, StagedLibrary
from sparring.fused.building.build import build
from sparring.fused.engine import OBJECTIVE_NUMBERS, RULE_NUMBERS, SOURCE
from sparring.fused.header import header
from sparring.fused.library import Settings
from sparring.fused.machine import Isa
from sparring.fused.packed import PackedSpace
from sparring.fused.recognise import recognise

_STEP = Settings(RULE_NUMBERS["sign"], OBJECTIVE_NUMBERS["cross_entropy"], 0.02, 0.3, 0.0, 1.0)


class Counting:
    """A model's kernel that counts.

    Args:
        model: what the engine can compute.
        images: float32 ``(n, c, h, w)``.
        labels: int64 ``(n,)``.
        layout: "wide" or "tile".
        isa: lanes of a vector, and what is compiled for.
    """

    def __init__(
        self, model: nn.Module, images: Tensor, labels: Tensor, layout: str, isa: Isa
    ) -> None:
        self.images, self.labels = images, labels
        found = recognise(model, tuple(images.shape[1:]))
        self.network, self.parameters = found.network, found.parameters
        # The engine's sources as headers: what they are belongs to the library's name.
        sources = [*SOURCE.parent.glob("*.hpp"), SOURCE]
        headers = {path.name: path.read_text() for path in sources}
        headers["network.h"] = header(self.network)
        defines = {"LAYOUT": layout.upper(), "LANES": isa.lanes, "STAGE_TIMES": 1}
        self.library = StagedLibrary(
            build(
                Path(__file__).parent / "counting.cpp", headers, defines, isa,
                flags=("-O0", "-Wno-psabi"),
            )
        )  # fmt: skip
        self.space = PackedSpace(self.library, self.parameters)
        self._weights = self.space.zeros()
        self.space.pack(self.parameters, self._weights)
        self.library.use(self._weights)
        self.library.ticks()

    def step(self) -> dict[Key, int]:
        """Operations of each stage of an attack of one step."""
        out = torch.empty_like(self.images)
        self.library.attack(self.images, self.images, self.labels, out, _STEP, 1, 1)
        return self.library.ticks()

    def gradients(self) -> int:
        """Operations of the gradients of the weights, all together."""
        out = self.space.zeros()
        self.library.gradients(self.images, self.labels, 1.0, out, 1)
        return sum(self.library.ticks().values())


def generic(lanes: int) -> Isa:
    """An instruction set that every machine has, with vectors of so many lanes."""
    x86 = platform.machine() in ("x86_64", "AMD64")
    return Isa("generic", lanes, ("-march=x86-64",) if x86 else ())
