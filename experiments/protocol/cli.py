"""The demonstrations' command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from experiments.protocol.launch import launch, result
from harness.machine import machine_cores
from sparring.errors import SparringError
from sparring.outputs import check_outputs

SMALL = {"batch_size": 16, "adversary_steps": 1, "updates": 500, "seed": 0}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Demonstrate how the strategies behave on this machine."""


@main.command()
def latency() -> None:
    """Latency of small and large messages, spinning and by test and sleep."""
    sizes = {"a header": 8, "a batch of 64": 64 * 784 * 4, "the weights": 405_840 * 4}
    rows = result(launch(2, "experiments.protocol.latency", {"sizes": list(sizes.values())}))
    names = {size: name for name, size in sizes.items()}
    click.echo("message          bytes     waiting         n    median us   quartiles us")
    for size, kind, n, low, middle, high in rows:
        click.echo(
            f"{names[size]:14}  {size:8}  {kind:14} {n:4} {middle * 1e6:10.1f}   "
            f"{low * 1e6:.1f} to {high * 1e6:.1f}"
        )


@main.command()
@click.option("--processes", type=click.IntRange(2), default=2, show_default=True)
@click.option("--updates", type=click.IntRange(50), default=500, show_default=True)
@click.option("--weight-sends", type=click.Choice(["every_turn", "on_change"]),
              default="every_turn", show_default=True)  # fmt: skip
def memory(processes: int, updates: int, weight_sends: str) -> None:
    """Resident memory of every rank over the study's pipeline with weights after every update."""
    job = {**SMALL, "strategy": "pipeline", "processes": processes, "updates": updates,
           "weight_sends": weight_sends}  # fmt: skip
    (ranks,) = result(launch(processes, "experiments.protocol.training_ranks", [job]))
    _tell_oversubscription(processes)
    click.echo(f"{updates} batches in {ranks[0]['seconds']:.1f} s, weights sent {weight_sends}: "
               f"{ranks[0]['counters'].get('weights_sent', 0)} messages")  # fmt: skip
    click.echo("rank  role        MiB at 10 %     50 %    100 % of the run")
    for rank, facts in enumerate(ranks):
        at = [facts["memory"][int(q * (len(facts["memory"]) - 1))] / 2**20 for q in (0.1, 0.5, 1)]
        click.echo(f"{rank:4}  {facts['role']:10} {at[0]:12.1f} {at[1]:8.1f} {at[2]:8.1f}")


@main.command()
@click.option("--slowdown", type=click.FloatRange(0), default=0.02, show_default=True,
              help="Seconds added to each ascent step of rank 2.")  # fmt: skip
def fairness(slowdown: float) -> None:
    """Batches per generator when one of two is slow, for static and dynamic assignment."""
    _tell_oversubscription(3)
    click.echo("assignment  receive     batches of rank 1, 2   seconds   longest run of one rank")
    choices: list[dict[str, Any]] = [
        {"assignment": "static"},
        {"assignment": "dynamic"},
        {"assignment": "dynamic", "messages": "packed", "receive": "completion"},
    ]
    common = {**SMALL, "strategy": "pipeline", "processes": 3, "updates": 100, "slow_rank": 2,
              "slow_step_seconds": slowdown}  # fmt: skip
    jobs = [{**common, **options} for options in choices]
    told = result(launch(3, "experiments.protocol.training_ranks", jobs))
    for options, ranks in zip(choices, told, strict=True):
        served = ranks[0]["generators"]
        edges = np.flatnonzero(np.diff([0, *served, 0]))
        click.echo(
            f"{options['assignment']:10}  {options.get('receive', 'probe'):10}  "
            f"{ranks[1]['batches']:8}, {ranks[2]['batches']:3}   {ranks[0]['seconds']:13.2f}   "
            f"{int(np.diff(edges).max()):8}"
        )


@main.command()
@click.option("--number", type=click.IntRange(1), default=20, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def kills(number: int, seed: int) -> None:
    """Kill a random rank at a random moment, and tell what was left behind."""
    from experiments.protocol.kills import random_kill

    click.echo("strategy       rank  after s  ended in s  exit  orphans  checkpoint  told")
    for index in range(number):
        kill = random_kill(seed * 1000 + index)
        click.echo(
            f"{kill.strategy:13} {kill.rank:5} {kill.after:8.2f} {kill.seconds_to_end:11.2f} "
            f"{kill.exit_code:5} {kill.orphans:8}  {kill.checkpoint:>10}  {kill.told or 'nothing'}"
        )


@main.command()
@click.option("--number", type=click.IntRange(1), default=100, show_default=True)
def aborts(number: int) -> None:
    """How often the launcher loses a rank's last words, by the pause before MPI_Abort."""
    click.echo("pause s  aborts  lost")
    for pause in (0.0, 0.1, 0.25):
        job = {"pause_seconds": pause}
        ended = [launch(2, "experiments.protocol.abort_ranks", job) for _ in range(number)]
        lost = sum("SAID" not in one.output for one in ended)
        click.echo(f"{pause:7.2f} {number:7} {lost:5}")


@main.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False),
              default=Path("results/figures"), show_default=True)  # fmt: skip
@click.option("--processes", type=click.IntRange(2), default=2, show_default=True)
@click.option("--updates", type=click.IntRange(2), default=8, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=32, show_default=True)
def timeline(out: Path, processes: int, updates: int, steps: int) -> None:
    """Draw what every rank does over a few updates; the traces open in Perfetto too."""
    from experiments.protocol.timeline import draw

    _tell_oversubscription(processes)
    out.mkdir(parents=True, exist_ok=True)
    chosen: dict[str, tuple[str, dict[str, Any]]] = {
        "pipeline, as in the study": ("pipeline", {}),
        "pipeline, generating trainer": (
            "pipeline",
            {"assignment": "dynamic", "trainer_generates": True, "weight_sends": "on_change"},
        ),
        "sharded": ("sharded", {}),
        "sharded, overlapped": ("sharded", {"overlap": True}),
        "data parallel": ("data_parallel", {}),
    }
    traces: dict[str, Path] = {}
    runs = []
    for title, (strategy, options) in chosen.items():
        name = title.replace(", ", "_").replace(" ", "_")
        traces[title] = (out / f"timeline_{name}.json").resolve()
        runs.append({"strategy": strategy, "options": options, "trace": str(traces[title])})
    try:
        check_outputs(traces)
    except SparringError as error:
        raise click.ClickException(str(error)) from None
    job = {"runs": runs, "updates": updates, "steps": steps}
    ended = launch(processes, "experiments.protocol.timeline_ranks", job)
    if ended.exit_code != 0:
        raise click.ClickException(ended.output[-2000:])
    for trace in traces.values():
        click.echo(f"wrote {trace}")
    picture = out / "timeline.png"
    draw(traces, picture)
    click.echo(f"wrote {picture}")


def _tell_oversubscription(processes: int) -> None:
    if processes > machine_cores():
        click.echo(f"oversubscribed: {processes} processes on {machine_cores()} cores")
