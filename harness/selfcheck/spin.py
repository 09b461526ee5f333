"""A workload that always does the same: whatever differs between its times is the host's doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpi4py import MPI


class Spin:
    """Adds numbers; nothing in it depends on a library, the disk or other ranks."""

    version = 1

    def setup(self, comm: MPI.Comm, parameters: dict[str, Any]) -> None:
        """Take the number of additions from the point."""
        self.additions = parameters["additions"]

    def run(self) -> None:
        """Add."""
        total = 0
        for number in range(self.additions):
            total += number

    def teardown(self) -> None:
        """There is nothing to release."""
