"""A pipeline put together and played."""

from __future__ import annotations

import numpy as np

from sparring.errors import SparringError
from sparring.modelling.simulator.job import Job
from sparring.modelling.simulator.limits import pipeline_limit
from sparring.modelling.simulator.machine import Machine
from sparring.modelling.simulator.pipeline.credits import Credits
from sparring.modelling.simulator.pipeline.generator import Generator
from sparring.modelling.simulator.pipeline.group import choose_trainers
from sparring.modelling.simulator.pipeline.inbox import Completions, Inbox, Probes
from sparring.modelling.simulator.pipeline.numbers import Dispenser
from sparring.modelling.simulator.pipeline.queues import Queues
from sparring.modelling.simulator.pipeline.trainer import Trainer
from sparring.modelling.simulator.pipeline.weights import Flow
from sparring.modelling.simulator.pipeline.window import Window
from sparring.modelling.simulator.pipeline.world import World
from sparring.modelling.simulator.result import Result
from sparring.modelling.simulator.study import StudyQueues
from sparring.strategies import Pipeline
from sparring.strategies.telemetry import PHASES


def simulate_pipeline(
    options: Pipeline, machine: Machine, job: Job, study: StudyQueues | None
) -> Result:
    """Simulate; see `sparring.modelling.simulator.simulate`."""
    if study is not None and (
        options.weights == "window" or options.in_order or options.weight_sends == "on_change"
    ):
        raise SparringError(
            "unbounded queues of weights need weights 'messages', weight_sends 'every_turn' and "
            "no staleness_policy 'wait'"
        )
    if options.send_unit == "epochs" and job.epoch_length < 1:
        raise SparringError("send_unit 'epochs' needs a job with an epoch_length of at least 1")
    trainers = choose_trainers(options, machine, job)
    world = World(options, machine, job, trainers)
    interval = options.send_interval * (job.epoch_length if options.send_unit == "epochs" else 1)
    flow: Flow
    if study is not None:
        flow = Queues(world, study)
    elif options.weights == "window":
        flow = Window(world, interval)
    else:
        flow = Credits(world, interval)
    inbox: Inbox = Completions(world) if options.receive == "completion" else Probes(world)
    dispenser = None
    if options.assignment == "dynamic":
        dispenser = Dispenser(world, 0 if options.in_order else 1)
    generators = [
        Generator(world, rank, flow, inbox, dispenser, late_looks=study is not None)
        for rank in world.generator_ranks
    ]
    trainer = Trainer(world, flow, inbox, dispenser, generators)
    for generator in generators:
        world.clock.process(generator.play())
    done = world.clock.process(trainer.play())
    world.clock.run(until=done)
    seconds = world.clock.now
    for rank in range(machine.processes):  # who had nothing left to do waited for the end
        spent = sum(world.phases[phase][rank] for phase in PHASES)
        world.phases["wait"][rank] += max(0.0, seconds - spent)
    trainer_phases = {phase: float(world.phases[phase][0]) for phase in PHASES}
    # Among trainers, waiting for each other is part of the exchange.
    trainer_phases["wait"] -= world.joint_seconds
    trainer_phases["send"] += world.joint_seconds
    generator_phases = {p: float(world.phases[p][trainers:].mean()) for p in PHASES}
    return Result(
        machine.processes, seconds, world.phases, world.batches, tuple(world.records),
        np.array(world.update_times), np.array(world.waiting_batches, np.int64),
        max(world.waiting_weights, options.credits if study is None else 0),
        pipeline_limit(trainer_phases, generator_phases, seconds), world.counters,
        fill_seconds=trainer.first_came, drain_seconds=seconds - trainer.last_came,
        trainers=trainers,
    )  # fmt: skip
