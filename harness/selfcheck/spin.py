"""A workload that always does the same: whatever differs between its times is the host's doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpi4py import MPI


class Spin:
    """Adds numbers; nothing in it depends on a library, the disk or other ranks."""

    version = 1
    #: Of the additions that are asked for; code that does more is slower.
    share = 1.0

    def setup(self, comm: MPI.Comm, parameters: dict[str, Any]) -> None:
        """Take the number of additions from the point."""
        self.additions = round(self.share * parameters["additions"])

    def run(self) -> dict[str, int]:
        """Add, and tell how many were added."""
        total = 0
        for number in range(self.additions):
            total += number
        return {"added": self.additions}

    def teardown(self) -> None:
        """There is nothing to release."""
