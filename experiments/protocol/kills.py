"""Kill a rank at a random moment, again and again, and see what is left."""

from __future__ import annotations

import random
import re
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from experiments.protocol.launch import launch
from harness.launch.process import MARK
from sparring import checkpoint
from sparring.errors import SparringError


@dataclass(frozen=True)
class Kill:
    """One run with a killed rank.

    Attributes:
        strategy: what was running.
        rank: who was killed.
        after: when, in seconds after the launch.
        seconds_to_end: from the kill until the launcher had ended.
        exit_code: the launcher's.
        told: the sentence that named rank and batch, or nothing.
        checkpoint: updates in the checkpoint that was left, or what is wrong with it.
        orphans: processes of the run that outlived it.
    """

    strategy: str
    rank: int
    after: float
    seconds_to_end: float
    exit_code: int
    told: str
    checkpoint: str
    orphans: int


def kill_once(strategy: str, processes: int, rank: int, now: Callable[[float, Path], bool]) -> Kill:
    """Train, kill a rank, and look at what is left.

    Args:
        strategy: what runs.
        processes: on how many ranks.
        rank: who is killed.
        now: whether to kill now, from the seconds since the launch and the checkpoint's path.
    """
    mark = f"kills-{secrets.token_hex(6)}"
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.pt"
        killed_at: list[float] = []

        def beat(elapsed: float) -> None:
            if not killed_at and now(elapsed, state):
                victim = _rank_process(mark, rank)
                if victim is not None:
                    victim.kill()
                    killed_at.append(elapsed)

        job = {"strategy": strategy, "checkpoint": str(state)}
        ended = launch(
            processes, "experiments.protocol.checkpointed_ranks", job, heartbeat=beat, mark=mark
        )
        told = re.search(r"sparring: (rank \d+ was killed in .*)", ended.output)
        try:
            left = str(checkpoint.load(state).updates) if state.exists() else "none yet"
        except SparringError as error:
            left = str(error)
        return Kill(
            strategy, rank, killed_at[0], ended.seconds - killed_at[0], ended.exit_code,
            told[1] if told else "", left, len(_processes(mark)),
        )  # fmt: skip


def random_kill(seed: int) -> Kill:
    """One kill whose strategy, rank and moment come from the seed."""
    chance = random.Random(seed)
    processes = chance.choice([2, 3])
    strategy = chance.choice(["pipeline", "sharded", "data_parallel"])
    rank, moment = chance.randrange(processes), chance.uniform(2.5, 7.0)
    return kill_once(strategy, processes, rank, lambda elapsed, _: elapsed >= moment)


def _processes(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _rank_process(mark: str, rank: int) -> psutil.Process | None:
    for process in _processes(mark):
        try:
            is_rank = "experiments.protocol.checkpointed_ranks" in process.cmdline()
            if is_rank and process.environ().get("PMI_RANK") == str(rank):
                return process
        except (psutil.Error, OSError):
            continue
    return None
