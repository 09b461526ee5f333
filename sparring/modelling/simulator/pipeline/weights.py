"""Weights on their way to the generators: what the ways have in common."""

from __future__ import annotations

from typing import Protocol

from sparring.modelling.simulator.pipeline.world import Play, World


class Flow(Protocol):
    """How weights travel."""

    def offer(self) -> Play:
        """The trainer's part of a turn."""

    def news(self) -> bool:
        """Whether a turn that began now would send something."""

    def turn_seconds(self) -> float:
        """What a turn costs that sends nothing new."""

    def idle(self, since: float) -> None:
        """The trainer turns without effect from this moment on."""

    def awake(self, until: float) -> None:
        """Those turns have ended."""

    def take(self, rank: int, held: int) -> Play:
        """A generator's look; returns the version that it holds afterwards."""

    def wait(self, rank: int, version: float) -> Play:
        """A generator waits for weights of a version, infinite for the end."""

    def last_weights(self, rank: int) -> bool:
        """Whether something is on its way to a generator."""


def due_version(world: World, interval: int) -> int:
    """The newest version that is to be sent."""
    return world.version // interval * interval
