"""Virtual execution: real numbers in simulated order."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from simulated_machines import machine

from sparring.compute.interface import Batch
from sparring.errors import SparringError
from sparring.modelling.simulator import Job, StudyQueues, simulate
from sparring.modelling.virtual import execute
from sparring.strategies import DataParallel, Pipeline, Sequential, Sharded
from sparring.strategies.replay import Replay

REAL = {"latency": 1e-3, "per_byte": 1e-7, "read": 1e-3, "write": 1e-3, "probe": 1e-4}


class Versions:
    """A compute whose weights are how many updates made them; it notes what an attack saw."""

    image_shape = (1,)
    dtype = np.dtype(np.float32)
    weight_count = gradient_count = 3
    attack_steps = 8
    backend = "none"

    def __init__(self, rows=(4,)):
        self.sizes, self.epoch_length = rows, len(rows)
        self.optimizer_seconds = 0.0
        self.weights = np.zeros(3, np.float32)
        self.seen, self.trained, self.refreshed = {}, [], []

    def rows(self, number):
        return self.sizes[number % len(self.sizes)]

    def attack(self, number, part, on_step=None, every=1):
        seen = []
        for step in range(self.attack_steps):
            if on_step is not None and step % every == 0:
                on_step(step)
            assert len(set(self.weights)) == 1
            seen.append(int(self.weights[0]))
        self.seen[number] = seen
        rows = self.rows(number)
        images = np.full((rows, 1), number, np.float32)
        return Batch(number, rows, images, np.full(rows, number, np.int64))

    mixes_images = False

    def refresh(self, batch, part, steps, scale):
        if part.stop:  # else it is only asked whether that can be
            assert part == slice(0, len(batch.labels))
            assert self.weights[0] == len(self.trained)
            self.refreshed.append((batch.number, steps, scale))
        return batch

    def loss(self, batch, *, joint=False):
        return 0.0

    def gradients(self, batch, out, on_ready=None):
        assert self.weights[0] == len(self.trained)  # an update is computed on the newest
        self.trained.append((batch.images[:, 0].astype(int).tolist(), batch.labels.tolist()))
        return 1.0

    def apply(self, gradients):
        self.weights += 1

    def read_weights(self, out):
        out[:] = self.weights

    def write_weights(self, weights):
        self.weights[:] = weights


@pytest.mark.parametrize("queues", [None, StudyQueues(), StudyQueues(content="live")])
@pytest.mark.parametrize("interval", [1, 3])
def test_every_ascent_step_sees_the_version_that_the_simulation_says(queues, interval):
    compute = Versions()
    options = Pipeline(receive_interval=interval)
    result, _ = execute(options, compute, 40, machine(**REAL), 4, queues=queues)
    assert len(compute.trained) == 40
    for record in result.records:
        expected, changes = [], dict(record.versions)
        for step in range(8):
            expected.append(changes.get(step, expected[-1] if expected else None))
        assert compute.seen[record.batch] == expected
        assert record.loss == 1.0


@pytest.mark.parametrize("kind", [Pipeline, partial(Sharded, overlap=True)])
def test_every_batch_is_refreshed_before_its_update(kind):
    compute = Versions()
    strategy = kind(refresh_steps=2, refresh_scale=1.5)
    result, _ = execute(strategy, compute, 20, machine(**REAL), 4)
    assert compute.refreshed == [(record.batch, 2, 1.5) for record in result.records]
    assert result.staleness.max() > 0


def test_a_replay_of_the_studys_defect_is_not_refreshed():
    with pytest.raises(ValueError, match="refresh_steps contradicts study_partial_batches"):
        Replay([], study_partial_batches=True, refresh_steps=1)


def test_sequential_sees_the_newest():
    compute = Versions()
    result, _ = execute(Sequential(), compute, 5, machine(), 1)
    assert compute.seen == {n: [n] * 8 for n in range(5)}
    assert result.seconds == pytest.approx(5 * (8 + 2) * 4 / 64)


def test_a_partial_batch_leaves_rows_of_the_batch_before():
    compute = Versions(rows=(4, 4, 3, 1))
    execute(Pipeline(study_partial_batches=True), compute, 8, machine(**REAL), 2)
    assert [images for images, _ in compute.trained[:5]] == [
        [0] * 4, [1] * 4, [2, 2, 2, 1], [3, 2, 2, 1], [4] * 4,
    ]  # fmt: skip
    assert all(images == labels for images, labels in compute.trained)
    assert {len(images) for images, _ in compute.trained} == {4}


def test_without_the_defect_partial_batches_are_what_they_are():
    compute = Versions(rows=(4, 4, 3, 1))
    execute(Pipeline(), compute, 4, machine(**REAL), 2)
    assert [images for images, _ in compute.trained] == [[0] * 4, [1] * 4, [2] * 3, [3]]


@pytest.mark.parametrize("room", [0, 2**31])
def test_history_in_memory_or_in_a_file_is_the_same(room):
    """Old versions come back whole from a temporary file."""
    from mpi4py import MPI

    from sparring.strategies import Run

    result = simulate(Pipeline(), Job(60, 8, 64), machine(**REAL), 4, queues=StudyQueues())
    assert result.staleness.max() > 20
    compute = Versions()
    Replay(result.records, room_bytes=room).train(Run(MPI.COMM_SELF, compute, 60))
    for record in result.records:
        assert compute.seen[record.batch][0] == record.first_version


def test_data_parallel_trains_what_sequential_trains():
    compute = Versions()
    execute(DataParallel(), compute, 5, machine(), 4)
    assert compute.seen == {n: [n] * 8 for n in range(5)}


def test_one_receive_buffer_is_needed_for_the_defect():
    options = Pipeline(study_partial_batches=True, receive="completion", messages="packed")
    with pytest.raises(SparringError, match="needs receive 'probe'"):
        execute(options, Versions(), 4, machine(), 2)
