"""The command of `make torture`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from tests.torture import damage, disks, environments, faults, kills, workloads
from tests.torture.room import Tally

#: Environment variable that says that /dev/shm is ours alone.
ALONE = "HARNESS_TORTURE_ALONE"

HEADS = ["case", "runs", "rows lost", "rows doubled", "orphans", "segments", "tracebacks", "hung"]

Kind = Callable[[Path, bool, int], Iterator[Tally]]
KINDS: dict[str, Kind] = {
    "kills": lambda folder, smoke, seed: kills.kills(folder, 9 if smoke else 200, seed),
    "disks": lambda folder, smoke, seed: disks.disks(folder),
    "damage": lambda folder, smoke, seed: damage.damage(folder),
    "workloads": lambda folder, smoke, seed: workloads.workloads(folder),
    "environments": lambda folder, smoke, seed: environments.environments(folder),
    "faults": lambda folder, smoke, seed: faults.faults(folder, step=7 if smoke else 1),
}


def alone() -> None:
    """Start again with a /dev/shm that nobody else has, where we may (unshare(1))."""
    if ALONE in os.environ:
        return
    mount = "mount -t tmpfs tmpfs /dev/shm"
    tool = shutil.which("unshare")
    if (
        tool
        and subprocess.run([tool, "-m", "sh", "-c", mount], capture_output=True).returncode == 0
    ):
        os.environ[ALONE] = "yes"
        again = [sys.executable, "-m", "tests.torture", *sys.argv[1:]]
        os.execv(tool, [tool, "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *again])
    click.echo("no /dev/shm of our own (not root): segments that others leave are counted too")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--preset", type=click.Choice(["smoke", "full"]), default="full", show_default=True,
              help="smoke: fewer kills and faults.")  # fmt: skip
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)),
              help="Only cases of this kind; may be given more than once.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the moments of kills.")
def main(preset: str, kinds: tuple[str, ...], seed: int) -> None:
    """Kill, starve, damage and deceive runs of the harness, and count what that costs.

    Prints a row for each case. Exit code 1 if a row was lost or doubled, a process or a segment of
    shared memory was left, or something was told by a traceback.
    """
    alone()
    widths = [44, *(len(head) for head in HEADS[1:])]

    def line(cells: list[object]) -> None:
        texts = [str(cells[0]).ljust(widths[0])]
        texts += [str(c).rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)]
        click.echo("  ".join(texts))

    bad: list[Tally] = []
    total = [0] * len(HEADS[1:])
    line([*HEADS])
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        for kind in kinds or KINDS:
            for tally in KINDS[kind](Path(place), preset == "smoke", seed):
                line([tally.case, *tally.counts])
                total = [a + b for a, b in zip(total, tally.counts, strict=True)]
                bad += [] if tally.clean else [tally]
    line(["all", *total])
    for tally in bad:
        for told in tally.told:
            click.echo(f"{tally.case}: {told}", err=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
