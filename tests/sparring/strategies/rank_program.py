"""How the rank programs of tests run: an error on one rank ends all of them."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from mpi4py import MPI


def run(main: Callable[..., Any], *arguments: Any) -> None:
    try:
        main(*arguments)
    except BaseException:
        traceback.print_exc()
        MPI.COMM_WORLD.Abort(1)
