"""``python -m sparring attack``: attack a network, or measure how fast attacks are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from sparring.commands import options
from sparring.commands.option_types import Name
from sparring.commands.terminal import console
from sparring.errors import SparringError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sparring.attacks.base import Attack
    from sparring.data import Dataset

#: Options of one kind of use, and what tells it from the other.
_ONLY_BENCHMARK = ("preset", "weights", "tasks", "competitors", "rounds", "results")
#: Options that may be given several times, where their parameter is called otherwise.
_NAMES = {"tasks": "--task", "competitors": "--competitor"}
_ONLY_ATTACK = ("checkpoint", "attack", "epsilon", "step_size", "images", "backend")


@click.command()
@options.network("study", "madry")
@click.option(
    "--checkpoint",
    type=options.FILE,
    help="What `train --checkpoint` kept; without it the network is first trained for some "
    "seconds on clean images.",
)
@options.dataset()
@options.data
@options.attack(steps=None, step_size=0.02)
@click.option(
    "--images",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Test images, the first so many.",
)
@options.backend("fused: the compiled engine or an error; auto: where it can.")
@click.option(
    "--batch-size", "batch_sizes", type=click.IntRange(1), multiple=True,
    help="Images attacked at a time [default: 64].",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1), multiple=True,
    help="Threads to compute with [default: 1].",
)  # fmt: skip
@options.seed()
@click.option(
    "--benchmark",
    is_flag=True,
    help="Measure the attack beside other libraries' instead. --batch-size, --threads and --steps "
    "may then be given several times.",
)
@click.option(
    "--preset",
    type=Name(["smoke", "laptop", "paper"]),
    default="laptop",
    show_default=True,
    help="Benchmark: does it work; some ten minutes; hours.",
)
@click.option(
    "--weights",
    type=Name(["initial", "trained"]),
    default="initial",
    show_default=True,
    help="Benchmark: of the network, as they are drawn or after some seconds of clean training. "
    "The engine's speed depends on how many ReLUs they leave open.",
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    type=Name(["attack", "update", "iteration"]),
    default=("attack",),
    show_default=True,
    help="Benchmark: an attack; the gradients of a batch and an optimizer step; an iteration of "
    "sequential adversarial training, which is an attack and an update.",
)
@click.option(
    "--competitor",
    "competitors",
    multiple=True,
    help="Benchmark: only these: fused, sparring (its PyTorch path), plain, compile, torchattacks, "
    "foolbox, art. The first three also train.",
)
@click.option(
    "--rounds", type=click.IntRange(1), help="Benchmark: exactly so many in each configuration."
)
@options.results("Benchmark: folder of attack_benchmark.csv, to which rows are added.")
@click.pass_context
def attack(context: click.Context, /, **chosen: Any) -> None:
    """Attack a network and tell its accuracy; with --benchmark, measure how fast that is.

    The benchmark runs the same attack (PGD, L-infinity, epsilon 0.3, step 0.02) in every library,
    each in a process of its own, in turns. Adversaries are checked before anything is timed. With
    --task, it measures updates (SGD, learning rate 0.01, momentum 0.5) and iterations of training
    as well.

    \b
    python -m sparring attack --checkpoint run.pt --steps 40 --backend auto
    python -m sparring attack --benchmark --preset smoke
    python -m sparring attack --benchmark --batch-size 1 --batch-size 64 --threads 1 --rounds 9
    python -m sparring attack --benchmark --task update --task iteration
    """  # noqa: D301 (click's mark for a paragraph that is not rewrapped)
    foreign = _ONLY_ATTACK if chosen["benchmark"] else _ONLY_BENCHMARK
    for name in foreign:
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            option = _NAMES.get(name, f"--{name.replace('_', '-')}")
            raise click.UsageError(
                f"{option} has no meaning {'with' if chosen['benchmark'] else 'without'} "
                "--benchmark"
            )
    if chosen["benchmark"]:
        _benchmark(chosen)
    else:
        _attack(chosen)


def _benchmark(chosen: dict[str, Any]) -> None:

    from sparring.benchmark import plan, run, summary

    names = ("batch_sizes", "threads", "steps", "competitors", "rounds", "network", "weights",
             "dataset", "seed")  # fmt: skip
    if chosen["steps"] and set(chosen["tasks"]) == {plan.UPDATE}:
        raise click.UsageError("--steps has no meaning with --task update alone")
    planned = plan.chosen(
        chosen["preset"], chosen["tasks"], data=str(chosen["data"]) if chosen["data"] else None,
        **{name: chosen[name] for name in names},
    )  # fmt: skip
    rows, path = run.run(planned, chosen["results"], click.echo)
    for table in summary.tables(rows):
        console(110).print(table)
    click.echo(f"{len(rows)} rows added to {path}; `python -m plots attack-benchmark {path}` draws "
               "them")  # fmt: skip
    if not any(row["status"] == "ok" for row in rows):
        raise SparringError("nothing could be measured; the table tells why")


def _attack(chosen: dict[str, Any]) -> None:
    import torch

    from sparring import data
    from sparring.backends import engine_for
    from sparring.evaluation import count_correct

    for option, name in (("--steps", "steps"), ("--threads", "threads"),
                         ("--batch-size", "batch_sizes")):  # fmt: skip
        if len(chosen[name]) > 1:
            raise click.UsageError(f"{option} may be given once without --benchmark")
    torch.set_num_threads(chosen["threads"][0] if chosen["threads"] else 1)
    batch_size = chosen["batch_sizes"][0] if chosen["batch_sizes"] else 64
    steps = chosen["steps"][0] if chosen["steps"] else 40
    dataset = data.load(chosen["dataset"], chosen["data"], normalize=chosen["attack"] == "ascent")
    method = options.chosen_attack(chosen, steps, dataset.bounds)
    model = _model(chosen, dataset)
    tested = range(min(chosen["images"], len(dataset.test)))
    clean = count_correct(model, dataset.test, tested, batch_size=batch_size) / len(tested)
    timed = _stopwatch(method)
    correct = count_correct(
        model, dataset.test, tested, timed, seed=chosen["seed"], batch_size=batch_size
    )
    first = torch.from_numpy(dataset.test.images(slice(0, 1)))
    taken = 1 if chosen["attack"] == "fgsm" else steps
    used = "torch" if engine_for(method.backend, model, first) is None else "fused"
    click.echo(
        f"clean accuracy {clean:.4f}, robust accuracy {correct / len(tested):.4f} "
        f"(first {len(tested)} test images, {method})"
    )
    click.echo(
        f"{len(tested) * taken / timed.seconds:,.0f} image-steps/s in {timed.seconds:.2f} s "
        f"(batch size {batch_size}, backend {used})"
    )


def _model(chosen: dict[str, Any], dataset: Dataset) -> nn.Module:
    """The checkpoint's network, or one that is trained now.

    Raises:
        SparringError: if the checkpoint is none, or of another network.
    """
    from sparring import checkpoint
    from sparring.benchmark.problem import trained
    from sparring.robustness.load import network_of

    if chosen["checkpoint"] is None:
        click.echo(f"no --checkpoint: training network '{chosen['network']}' on clean images")
        return trained(chosen["network"], dataset, chosen["seed"])
    return network_of(
        checkpoint.load(chosen["checkpoint"]), chosen["network"], chosen["checkpoint"]
    )


def _stopwatch(method: Attack) -> Any:
    """The attack, which also adds up the seconds that it takes."""
    from sparring.attacks.base import Attack
    from sparring.attacks.climb import Climb
    from sparring.attacks.sources import RandomSource

    class Stopwatch(Attack):
        seconds = 0.0

        def __call__(self, model: nn.Module, x: Tensor, y: Tensor, **keywords: Any) -> Tensor:
            started = time.perf_counter()
            try:
                return method(model, x, y, **keywords)
            finally:
                self.seconds += time.perf_counter() - started

        def _perturb(self, climb: Climb, x: Tensor, source: RandomSource) -> Tensor:
            return method._perturb(climb, x, source)

    return Stopwatch()
