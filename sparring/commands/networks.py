"""The command ``python -m sparring networks``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from sparring.commands import options
from sparring.commands.option_types import FiniteRange
from sparring.errors import SparringError

if TYPE_CHECKING:
    from sparring.fused.precision import Errors


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
              help="Also compare gradients with float64's, at batches of 1, 3, 17 and 64; exit "
              "code 1 if one is off by a thousandth of its largest entry.")  # fmt: skip
@options.batch_size()
@click.option("--steps", type=click.IntRange(1), default=10, show_default=True,
              help="Gradient steps of each attack.")  # fmt: skip
@options.threads()
@click.option("--rounds", type=click.IntRange(3), default=7, show_default=True, help="At most.")
@click.option("--seconds", type=FiniteRange(0, min_open=True), default=10.0, show_default=True,
              help="No round of a network begins later; three are made at least.")  # fmt: skip
@options.results("Folder of networks.csv, to which rows are added.")
def networks(names: Sequence[str], model: str | None, **chosen: Any) -> None:
    """Tell which networks the fused engine serves, and how much faster attacks are.

    \b
    python -m sparring networks
    python -m sparring networks --network ResNet --time
    SPARRING_ISA=avx2 python -m sparring networks --check
    python -m sparring networks --model my_models:make_net --input-shape 3,32,32 --time
    """  # noqa: D301 (click's mark for a paragraph that is not rewrapped)
    import torch
    from rich.console import Console
    from rich.table import Table as RichTable

    from sparring.benchmark import coverage
    from sparring.benchmark.corpus import CORPUS
    from sparring.fused.precision import BOUND

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
    table = coverage.Table(chosen["results"] / "networks.csv")
    times = {name: chosen[name] for name in ("batch_size", "steps")}
    shown = RichTable("network", "parameters", "attacks", "updates")
    if chosen["with_time"]:
        for heading in ("ms a batch", "other / engine", "range", "other"):
            shown.add_column(heading, justify="right")
    if chosen["check"]:
        for heading in ("median image", "PyTorch's", "worst image", "weights", "replaced"):
            shown.add_column(heading, justify="right")
    shown.add_column("why not the engine")
    ratios, wrong = [], []
    for network in found:
        about, made = coverage.served(network)
        timing = None
        if chosen["with_time"] and about.attacks == "engine":
            timing = coverage.timed(
                made, network[1], rounds=chosen["rounds"], seconds=chosen["seconds"], **times
            )
            ratios.append(timing.ratio)
        table.append(coverage.rows(network, about, timing, **times))
        cells = [network[0], f"{about.parameters:,}", about.attacks, about.updates]
        if timing is not None:
            low, high = timing.ratios[0], timing.ratios[-1]
            cells += [
                f"{1000 * median(timing.engine):.3g}", f"{timing.ratio:.2f}",
                f"{low:.2f} to {high:.2f}", timing.competitor,
            ]  # fmt: skip
        elif chosen["with_time"]:
            cells += ["", "", "", ""]
        if chosen["check"] and about.attacks == "engine":
            errors = coverage.checked(made, network[1])
            cells += _told(errors)
            if not errors.acceptable:
                wrong.append(network[0])
        elif chosen["check"]:
            cells += ["", "", "", "", ""]
        shown.add_row(*cells, about.reason)
        click.echo(f"{network[0]}: {about.attacks}", err=True)
    Console(width=None if Console().is_terminal else 200).print(shown)
    if ratios:
        click.echo(f"{len(ratios)} served; median ratio {median(ratios):.2f}")
    click.echo(f"rows added to {table.path}")
    if wrong:
        raise click.ClickException(
            f"gradients of {', '.join(wrong)} are off by {BOUND:g} of their largest entry, or more"
        )


def _told(errors: Errors) -> list[str]:
    """An accuracy's cells."""
    numbers = (errors.median, errors.torch_median, errors.worst)
    weights = "" if errors.weights is None else f"{errors.weights:.1e}"
    return [
        *(f"{number:.1e}" for number in numbers), weights, f"{errors.replaced} of {errors.images}"
    ]  # fmt: skip


def _shape(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*,[1-9]\d*)?", text):
        raise SparringError(
            f"--input-shape {text}: expected channels,height,width such as 3,32,32, or features"
        )
    return tuple(int(number) for number in text.split(","))
