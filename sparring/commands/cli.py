"""The library from the command line, on one process or under ``mpiexec -n p``."""

from __future__ import annotations

import logging

import click

from sparring.commands.attack import attack
from sparring.commands.calibrate import calibrate
from sparring.commands.evaluate import evaluate, gallery
from sparring.commands.group import RanksGroup
from sparring.commands.networks import networks
from sparring.commands.train import train


@click.group(cls=RanksGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Adversarial training of neural networks.

    \b
    python -m sparring train --epochs 2
    mpiexec -n 4 python -m sparring train --strategy data_parallel --checkpoint run.pt
    python -m sparring evaluate run.pt
    """  # noqa: D301 (click's mark for a paragraph that is not rewrapped)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")


for command in (train, evaluate, gallery, attack, networks, calibrate):
    main.add_command(command)
