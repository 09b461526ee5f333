"""Kills of the runner, of mpiexec and of ranks, at any moment of a study."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.torture.room import STUDY, Room, Tally

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
#: Whom a signal is sent to, by a word on the command line.
VICTIMS = {"runner": "-m harness run", "mpiexec": "mpiexec", "rank": "harness.launch.worker"}


def kills(folder: Path, number: int, seed: int) -> Iterator[Tally]:
    """So many kills, spread over victims and signals; one study for each pair."""
    chance = random.Random(seed)
    pairs = [(victim, sent) for victim in VICTIMS for sent in SIGNALS]
    for index, (victim, sent) in enumerate(pairs):
        own = number // len(pairs) + (index < number % len(pairs))
        if own:
            yield _kills(folder, victim, sent, own, chance)


def _kills(
    folder: Path, victim: str, sent: signal.Signals, number: int, chance: random.Random
) -> Tally:
    # Never done before the last kill: in the time up to one, and a little longer, 20 launches end.
    study = STUDY.replace("launches = 3", f"launches = {10 * number}")
    room = Room(folder / f"kill-{victim}-{sent.name}", f"{number} x {sent.name} to {victim}", study)
    killed = 0
    for _ in range(4 * number):
        if killed == number:
            break
        # --retry: a launch whose mpiexec or rank was killed has failed, and is launched again.
        process = room.start(room.command("run", "--retry"))
        time.sleep(chance.uniform(0.2, 1.5))
        end = time.monotonic() + 20
        found: list[psutil.Process] = []
        while not found and process.poll() is None and time.monotonic() < end:
            found = [one for one in room.processes(VICTIMS[victim]) if _is(one, victim, process)]
        if found:
            with contextlib.suppress(psutil.Error):
                chance.choice(found).send_signal(sent)
                killed += 1
        if victim != "runner":  # the run goes on; enough of it was seen
            time.sleep(chance.uniform(0.0, 0.7))
            process.terminate()
        room.finish(process)
    room.expect(killed == number, f"only {killed} of {number} were killed")
    room.run("run", "--retry")
    return room.end()


def _is(found: psutil.Process, victim: str, runner: object) -> bool:
    """Whether a process is the victim itself: mpiexec and its proxies have ranks' words too."""
    try:
        words = found.cmdline()
    except psutil.Error:
        return False
    if not words:  # it has ended since it was found
        return False
    name = Path(words[0]).name
    if victim == "mpiexec":
        return name.startswith("mpiexec")
    if victim == "runner":
        return found.pid == runner.pid  # type: ignore[attr-defined]
    return name.startswith("python")
