"""The command ``python -m sparring networks``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from math import prod
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from sparring.commands import options
from sparring.commands.option_types import FiniteRange
from sparring.commands.terminal import console
from sparring.errors import SparringError

if TYPE_CHECKING:
    from sparring.commands.network_answers import Answer

#: Numbers of an image, of which a minibatch must lie in memory.
_LARGEST = 100_000_000


@click.command()
@click.option("--network", "names", multiple=True,
              help="The beginning of a name in the corpus; may be repeated [all].")  # fmt: skip
@click.option("--model", help="Your own instead: module:callable, which makes a torch.nn.Module.")
@click.option("--input-shape", default="1,28,28", show_default=True,
              help="Of --model: channels,height,width of an image, or features.")  # fmt: skip
@click.option("--time/--no-time", "with_time", default=False, show_default=True,
              help="Also time attacks, in turns with torchattacks' (make peers), or else with the "
              "loop that papers' code has.")  # fmt: skip
@click.option("--check/--no-check", default=False, show_default=True,
              help="Also compare gradients with float64's, at batches of 1, 3, 17 and "
              "64.")  # fmt: skip
@options.batch_size()
@click.option("--steps", type=click.IntRange(1), default=10, show_default=True,
              help="Gradient steps of each attack.")  # fmt: skip
@options.threads()
@click.option("--rounds", type=click.IntRange(3), default=7, show_default=True, help="At most.")
@click.option("--seconds", type=FiniteRange(0, min_open=True), default=10.0, show_default=True,
              help="No round of a network begins later; three are made at least.")  # fmt: skip
@options.results("Folder of networks.csv, to which rows are added.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, for programs.")
def networks(names: Sequence[str], model: str | None, **chosen: Any) -> None:
    """Tell which networks the fused engine serves, and how much faster attacks are.

    A network that the engine refuses is an answer: PyTorch computes it, and the table says why. One
    that cannot take images of its shape, or gives no logits of them, is an error.
    With --check the exit code is 1 if a gradient is off by a thousandth of its largest entry, or if
    the engine refuses one of the networks: choose those that it must serve by --network or --model.

    \b
    python -m sparring networks
    python -m sparring networks --network ResNet --time
    SPARRING_ISA=avx2 python -m sparring networks --check
    python -m sparring networks --model my_models:make_net --input-shape 3,32,32 --time
    """  # noqa: D301 (click's mark for a paragraph that is not rewrapped)
    import torch

    from sparring.benchmark import coverage
    from sparring.benchmark.corpus import CORPUS
    from sparring.commands.network_answers import Answer, shown
    from sparring.tables import Table

    if model is not None and names:
        raise click.UsageError("give --network or --model, not both")
    found: list[coverage.Network] = [
        (name, shape, make) for name, (shape, make) in CORPUS.items()
        if not names or any(name.lower().startswith(wanted.lower()) for wanted in names)
    ]  # fmt: skip
    if model is not None:
        found = [(model, _shape(chosen["input_shape"]), coverage.of_own(model))]
    if not found:
        raise SparringError(
            f"--network {names[0]}: no network of the corpus begins so; expected "
            f"{', '.join(CORPUS)}"
        )
    torch.set_num_threads(chosen["threads"])
    table = Table(chosen["results"] / "networks.csv", coverage.COLUMNS)
    times = {name: chosen[name] for name in ("batch_size", "steps")}
    answers = []
    for network in found:
        about, made = coverage.served(network)
        by_engine, timing, errors = about.attacks == "engine", None, None
        if by_engine and chosen["with_time"]:
            timing = coverage.timed(
                made, network[1], rounds=chosen["rounds"], seconds=chosen["seconds"], **times
            )
        table.append(coverage.rows(network, about, timing, **times))
        if by_engine and chosen["check"]:
            errors = coverage.checked(made, network[1])
        answers.append(Answer(network[0], network[1], about, timing, errors))
        click.echo(f"{network[0]}: {about.attacks}", err=True)
    if chosen["as_json"]:
        document = {"table": str(table.path), **times, "threads": chosen["threads"],
                    "networks": [answer.document() for answer in answers]}  # fmt: skip
        click.echo(json.dumps(document, indent=1, allow_nan=False))
    else:
        console(200).print(shown(answers, chosen["with_time"], chosen["check"]))
        if ratios := [answer.timing.ratio for answer in answers if answer.timing]:
            click.echo(f"{len(ratios)} served; median ratio {median(ratios):.2f}")
        click.echo(f"rows added to {table.path}")
    if chosen["check"] and (faults := list(_faults(answers))):
        raise click.ClickException("; ".join(faults))


def _faults(answers: Sequence[Answer]) -> Iterator[str]:
    """What ``--check`` complains of."""
    from sparring.fused.precision import BOUND

    if refused := [answer.network for answer in answers if answer.about.attacks != "engine"]:
        yield f"the engine refuses {', '.join(refused)}, so that nothing was checked of it"
    wrong = [a.network for a in answers if a.errors and not a.errors.acceptable]
    if wrong:
        names = ", ".join(wrong)
        yield f"gradients of {names} are off by {BOUND:g} of their largest entry, or more"


def _shape(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*,[1-9]\d*)?", text):
        raise SparringError(
            f"--input-shape {text}: expected channels,height,width such as 3,32,32, or features"
        )
    shape = tuple(int(number) for number in text.split(","))
    if prod(shape) > _LARGEST:
        raise SparringError(f"--input-shape {text}: expected at most {_LARGEST:,} numbers an image")
    return shape
