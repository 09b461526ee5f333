"""Emulated computing: what it draws, how long it sleeps, and that it needs no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sparring.modelling.emulation import (
    EmulatedCompute,
    Napping,
    Sleeper,
    expected_active_cores,
)
from sparring.strategies.waiting import SilentRankError
from tests.calibrations import MICRO, calibration

ROOT = Path(__file__).parents[3]


class Clock:
    """A clock that only sleeping moves, each sleep by some seconds too much."""

    def __init__(self, overshoot: float = 0.0) -> None:
        self.now, self.overshoot, self.sleeps = 0.0, overshoot, []

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds + self.overshoot

    @property
    def sleeper(self) -> Sleeper:
        return Sleeper(lambda: self.now, self.sleep)


def emulate(clock: Clock | None = None, given=None, **changes) -> EmulatedCompute:
    options = {"images": 20, "batch_size": 8, "steps": 4, **changes}
    return EmulatedCompute(given or calibration(), sleeper=(clock or Clock()).sleeper, **options)


def test_what_a_sleep_was_too_long_is_taken_from_the_next():
    clock = Clock(overshoot=0.25)
    sleeper = clock.sleeper
    for _ in range(10):
        sleeper.pass_time(1.0)
    assert clock.sleeps == [1.0, *[0.75] * 9]
    assert clock.now == pytest.approx(10.25)  # late by one overshoot, not by ten


def test_a_sleep_shorter_than_the_last_overshoot_is_left_out():
    clock = Clock(overshoot=0.25)
    sleeper = clock.sleeper
    for _ in range(4):
        sleeper.pass_time(0.125)
    assert clock.sleeps == [0.125, 0.125]  # 0.375 s passed for the first three, then 0.125 is due
    assert sleeper.late == pytest.approx(0.25)


def test_waiting_for_somebody_makes_up_for_lateness():
    clock = Clock(overshoot=0.25)
    sleeper = clock.sleeper
    sleeper.pass_time(1.0)
    sleeper.waited(0.2)
    sleeper.pass_time(1.0)
    assert clock.sleeps == pytest.approx([1.0, 0.95])
    sleeper.waited(9.0)
    assert sleeper.late == 0


def test_naps_grow_with_the_wait_up_to_the_crowd():
    clock = Clock()
    waiting = Napping(spin=False, sleeper=clock.sleeper, crowd=8.0)
    waiting.until(lambda: clock.now > 0.1, "something")
    assert clock.sleeps[0] == pytest.approx(1e-4)
    assert max(clock.sleeps) == pytest.approx(8e-4)
    assert clock.sleeps == sorted(clock.sleeps)


def test_a_silent_rank_is_given_up():
    waiting = Napping(spin=False, patience_seconds=0.5, sleeper=Clock().sleeper)
    with pytest.raises(SilentRankError, match=r"0.5 s of rank 3"):
        waiting.until(lambda: False, "rank 3")


def test_an_attack_is_one_sleep_without_looks():
    clock = Clock()
    batch = emulate(clock).attack(0, slice(None))
    assert clock.sleeps == pytest.approx([4 * 80 * MICRO])
    assert batch.images.shape == (8, 1)
    assert (batch.number, batch.rows, batch.labels.dtype) == (0, 8, np.int64)


def test_an_attack_sleeps_once_between_two_looks():
    clock, looks = Clock(), []
    emulate(clock, steps=5).attack(0, slice(2), looks.append, every=2)
    assert looks == [0, 2, 4]
    assert clock.sleeps[0] == pytest.approx(5 * MICRO)  # preparing
    steps = [round((sleep - 1 * MICRO) / MICRO) for sleep in clock.sleeps[1:]]
    assert all(40 <= steps[i] <= 80 for i in (0, 1))
    assert 20 <= steps[2] <= 40  # one step is left


def test_a_refresh_takes_as_long_as_an_attack_of_its_steps():
    clock = Clock()
    compute = emulate(clock)
    batch = compute.attack(0, slice(None))
    clock.sleeps.clear()
    assert compute.refresh(batch, slice(None), 2, 10.0) is batch
    assert clock.sleeps == pytest.approx([2 * 80 * MICRO])
    compute.refresh(compute.attack(0, slice(8, 8)), slice(8, 8), 2, 1.0)
    assert len([s for s in clock.sleeps if s]) == 1


def test_draws_depend_on_seed_and_minibatch_alone():
    def slept(seed: int, number: int, before: int = 0) -> list[float]:
        clock = Clock()
        compute = emulate(clock, seed=seed, steps=16)
        for _ in range(before):
            compute.attack(1, slice(2))
        clock.sleeps.clear()
        compute.attack(number, slice(2))
        return clock.sleeps

    assert slept(0, 0) == slept(0, 0) == slept(0, 0, before=3)
    assert len({tuple(slept(seed, number)) for seed in (0, 1) for number in (0, 2, 4)}) > 3


def test_a_part_takes_what_its_images_take_and_not_its_share():
    def step(images: int) -> float:
        return calibration().times(images).step.median / MICRO

    assert [step(n) for n in (1, 2, 5, 8, 16)] == pytest.approx([30, 30, 55, 80, 160])
    spread = calibration().times(3).step.samples
    assert np.array(spread) / spread[1] == pytest.approx(np.array([20, 30, 40]) / 30)


def test_a_rank_without_a_share_takes_no_time():
    clock = Clock()
    compute = emulate(clock)
    batch = compute.attack(0, slice(8, 8))
    out = np.ones(compute.gradient_count, np.float32)
    assert compute.gradients(batch, out) == 0
    assert clock.sleeps == [0.0] or clock.sleeps == []
    assert not out.any()


def test_gradients_tell_of_every_part_from_the_last_to_the_first():
    compute, parts = emulate(), []
    batch = compute.attack(0, slice(None))
    compute.gradients(batch, np.empty(10, np.float32), parts.append)
    assert parts == [slice(8, 10), slice(0, 8)]


def test_factors_take_as_long_as_calibrated_and_gradients_are_added_up():
    took = {"median": 60 * MICRO}
    work = [
        {"batch_size": size, "step": took, "gradients": took, "loss": took,
         "gradients_to_add": {"median": 5 * size * MICRO},
         "add_gradients": {"median": size * MICRO}}
        for size in (2, 8)
    ]  # fmt: skip
    clock = Clock()
    compute = emulate(clock, calibration(work=work, factor_room=2, factor_bytes=8))
    few, many = compute.attack(0, slice(0, 2)), compute.attack(0, slice(2, 5))
    rows = [np.ones(10, np.float32) for _ in range(2)]
    clock.sleeps.clear()
    factors = [
        compute.gradients_to_add(batch, row)[1]
        for batch, row in zip((few, many), rows, strict=True)
    ]
    assert factors == [2, -1]
    assert clock.sleeps == pytest.approx([10 * MICRO, 60 * MICRO])
    assert not any(row.any() for row in rows)
    rows[0][:], rows[1][:] = 7, 3  # factors are no numbers to add
    out = np.full(10, -1, np.float32)
    clock.sleeps.clear()
    compute.add_gradients(rows, factors, slice(0, 5), out)
    assert clock.sleeps == pytest.approx([0.5 * 2 * MICRO])
    assert out.tolist() == [3] * 5 + [-1] * 5


def test_the_slowdown_is_that_of_the_active_cores():
    clock = Clock()
    emulate(clock, active_cores=2.0).attack(0, slice(None))
    assert clock.sleeps == pytest.approx([1.5 * 4 * 80 * MICRO])


def test_an_epoch_ends_with_a_partial_minibatch():
    compute = emulate()
    assert (compute.epoch_length, [compute.rows(n) for n in range(4)]) == (3, [8, 8, 4, 8])


def test_active_cores_of_a_pipeline_count_the_trainer_for_its_part():
    known = calibration(cores_per_node=64)

    def active(strategy: str, processes: int, **options: int) -> float:
        return expected_active_cores(
            known, strategy=strategy, processes=processes, batch_size=8, steps=23, **options
        )

    assert active("data_parallel", 4) == 4
    assert active("pipeline", 2) == pytest.approx(1 + 207 / (23 * 80))
    assert active("pipeline", 2, refresh_steps=1) == pytest.approx(1 + 287 / (23 * 80))
    assert active("pipeline", 33) == 33  # the trainer never rests
    few = calibration()
    assert expected_active_cores(few, strategy="sharded", processes=9, batch_size=8, steps=1) == 2


def test_an_emulated_rank_loads_no_torch():
    code = (
        "import sys, experiments.emulated, harness.launch.worker\n"
        "print(*sorted(name for name in sys.modules if '.' not in name))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.split())
    assert {"numpy", "experiments"} <= loaded
    assert not {"torch", "pandas", "matplotlib", "mlxtend", "scipy"} & loaded
