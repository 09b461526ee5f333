"""`sequential`, `sharded` and `data_parallel`, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_machines import machine

from sparring.errors import SparringError
from sparring.modelling.simulator import Job, StudyQueues, simulate
from sparring.modelling.simulator.collectives import taken_in_turn
from sparring.strategies import DataParallel, Pipeline, Sequential, Sharded

STEPS, UPDATES = 8, 10
JOB = Job(UPDATES, STEPS, 64)


def test_sequential_is_the_sum_of_its_parts():
    result = simulate(Sequential(), JOB, machine(apply=0.5), 1)
    assert result.seconds == pytest.approx(UPDATES * (STEPS * 1.0 + 2.0 + 0.5))
    assert result.phases["generate"][0] == pytest.approx(UPDATES * STEPS)
    assert not result.staleness.any()


@pytest.mark.parametrize("processes", [1, 2, 4, 64])
def test_data_parallel_divides_all_but_the_optimizers_step(processes):
    result = simulate(DataParallel(), JOB, machine(apply=0.5), processes)
    expected = (STEPS * 1.0 + 2.0) / processes + 0.5
    assert result.seconds == pytest.approx(UPDATES * expected)
    assert result.limit.shares["imbalance"] == pytest.approx(0)


def test_data_parallel_waits_for_the_largest_share():
    result = simulate(DataParallel(), JOB, machine(), 3)  # 22, 21, 21 images
    assert result.seconds == pytest.approx(UPDATES * 22 / 64 * (STEPS + 2))
    assert result.phases["wait"][1] == pytest.approx(UPDATES * 1 / 64 * (STEPS + 2))


def test_data_parallel_pays_for_an_allreduce():
    # 4,008 bytes among 4: halving and doubling, 2 (2,004 + 1,002) bytes and 4 latencies; doubling
    # would be 2 (4,008) bytes and 2 latencies.
    costly, strategy = machine(latency=1e-3, per_byte=1e-5), DataParallel(reduction="messages")
    result = simulate(strategy, JOB, costly, 4)
    exchange = 4e-3 + 2 * 3006e-5
    assert result.seconds == pytest.approx(UPDATES * ((STEPS + 2) / 4 + exchange))


def test_sums_through_shared_memory_cost_two_meetings_and_a_copy():
    # Two meetings of two rounds, and 4,008 bytes read at the speed of messages.
    costly = machine(latency=1e-3, per_byte=1e-5)
    result = simulate(DataParallel(), JOB, costly, 4)
    exchange = 4 * 1e-3 + (1e-3 + 4008e-5)
    assert result.seconds == pytest.approx(UPDATES * ((STEPS + 2) / 4 + exchange))


def test_measured_sums_through_shared_memory_are_taken_as_they_are():
    known = {"processes": 4, "bytes": 4008, "seconds": {"median": 0.25}}
    result = simulate(DataParallel(), JOB, machine(latency=1e-3, shared_reduction=[known]), 4)
    assert result.seconds == pytest.approx(UPDATES * ((STEPS + 2) / 4 + 0.25))


def test_sums_over_nodes_are_made_in_the_nodes_and_then_sent():
    # Two nodes of two: a meeting before and one behind of a round each, a copy, one exchange.
    costly = machine(latency=1e-3, network=(1e-2, 1e-4), cores=2, nodes=2)
    result = simulate(DataParallel(), JOB, costly, 4)
    exchange = 2 * 1e-3 + 1e-3 + min(1e-2 + 4008e-4, 2 * (1e-2 + 2004e-4))
    assert result.seconds == pytest.approx(UPDATES * ((STEPS + 2) / 4 + exchange))


def test_few_images_exchange_factors_instead_of_gradients():
    # Four ranks of 16 images: between two meetings of two rounds each reads a quarter of 64 images'
    # factors, 64 x 100 / 4 bytes, and multiplies for its quarter of the weights.
    costs = {"latency": 1e-3, "per_byte": 1e-5, "to_add": 1.0, "add": 0.5, "backend": "fused"}
    factors = machine(**costs, factor_room=16, factor_bytes=100)
    exchange = 4 * 1e-3 + (1e-3 + 1600e-5) + 0.5 / 4
    result = simulate(DataParallel(), JOB, factors, 4)
    assert result.seconds == pytest.approx(UPDATES * ((STEPS + 1.0) / 4 + exchange))
    # One image too many on a rank, or messages: gradients as ever.
    for strategy, room in ((DataParallel(), 15), (DataParallel(reduction="messages"), 16)):
        with_factors = machine(**costs, factor_room=room, factor_bytes=100)
        without = machine(latency=1e-3, per_byte=1e-5, backend="fused")
        found = simulate(strategy, JOB, with_factors, 4).seconds
        assert found == pytest.approx(simulate(strategy, JOB, without, 4).seconds)


def test_factors_are_multiplied_in_every_node_and_their_sums_sent():
    costs = {"latency": 1e-3, "network": (1e-2, 1e-4), "cores": 2, "nodes": 2, "backend": "fused"}
    result = simulate(
        DataParallel(), JOB, machine(**costs, add=0.5, factor_room=16, factor_bytes=0), 4
    )
    across = min(1e-2 + 4000e-4, 2 * (1e-2 + 2000e-4))
    exchange = 2 * 1e-3 + 1e-3 + 0.25 / 2 + across  # of half of the images in each node
    assert result.seconds == pytest.approx(UPDATES * (STEPS / 4 + exchange))


@pytest.mark.parametrize("processes", [2, 4, 64])
def test_sharded_divides_generation_only(processes):
    result = simulate(Sharded(), JOB, machine(), processes)
    assert result.seconds == pytest.approx(UPDATES * (STEPS / processes + 2.0))
    assert not result.staleness.any()
    assert result.limit.name == ("update" if STEPS / processes < 2 else "generation")


def test_sharded_rank_0_takes_shares_one_after_the_other():
    # Three shares of 16 images, 640 bytes each; then 4,000 bytes in two rounds of a binomial tree
    # or 2,000 + 1,000 scattered and 3 times 1,000 gathered.
    strategy = Sharded(broadcast="messages")
    result = simulate(strategy, Job(2, STEPS, 64), machine(per_byte=1e-4), 4)
    batch = STEPS / 4 + 3 * 640e-4 + 2.0
    assert result.seconds == pytest.approx(2 * batch + 6000e-4)


def test_weights_in_shared_memory_cost_a_meeting():
    result = simulate(Sharded(), Job(2, STEPS, 64), machine(per_byte=1e-4, latency=1e-3), 4)
    # A share's message is posted, and taken in after its latency and its copy.
    batch = STEPS / 4 + 1e-3 + 3 * (1e-3 + 640e-4) + 2.0
    assert result.seconds == pytest.approx(2 * batch + 2 * 1e-3)


def test_overlap_hides_generation_behind_the_update():
    # Rank 0 generates nothing: two others take 32 images each, half as long as the batch's 4 s.
    result = simulate(Sharded(overlap=True, trainer_share=0.0), Job(UPDATES, 4, 64), machine(), 3)
    assert result.seconds == pytest.approx(2.0 + UPDATES * 2.0)
    assert result.staleness.tolist() == [0] + [1] * (UPDATES - 1)


def test_a_refresh_is_shared_and_waits_for_the_update():
    # Two ranks take 32 images each: 4 s for the 8 steps, half a second for the further one.
    strategy = Sharded(overlap=True, refresh_steps=1)
    result = simulate(strategy, Job(UPDATES, 8, 64), machine(), 2)
    assert result.seconds == pytest.approx(4.0 + UPDATES * (0.5 + 4.0 + 2.0) - 4.0)
    assert result.staleness.tolist() == [0] + [1] * (UPDATES - 1)
    assert result.phases["generate"].tolist() == pytest.approx([UPDATES * 4.5] * 2)


def test_more_ranks_than_images_leave_ranks_without_work():
    result = simulate(DataParallel(), Job(2, STEPS, 64), machine(cores=128), 128)
    assert result.seconds == pytest.approx(2 * (STEPS + 2) / 64)
    assert result.phases["generate"][100] == 0


def test_slowdown_counts_the_ranks_of_a_node_that_compute():
    slow = machine(slowdown=[(1, 1.0), (2, 1.5)], cores=2, nodes=2)
    one_node = simulate(DataParallel(), JOB, slow, 2).seconds
    assert one_node == pytest.approx(1.5 * UPDATES * (STEPS + 2) / 2)


def test_messages_in_turn_wait_for_the_one_before():
    taken = taken_in_turn(np.array([5.0, 1.0, 1.5]), np.array([1.0, 1.0, 1.0]), 0.0)
    assert taken.tolist() == [6.0, 2.0, 3.0]
    assert taken_in_turn(np.array([1.0, 1.0]), np.array([2.0, 2.0]), 10.0).tolist() == [12.0, 14.0]


@pytest.mark.parametrize("strategy", [DataParallel(), Sharded(), Sharded(overlap=True), Pipeline()])
def test_a_seed_decides_everything(strategy):
    noisy = machine(samples=(0.5, 1.0, 1.5), latency=1e-6, per_byte=1e-9, probe=1e-7)
    runs = [simulate(strategy, JOB, noisy, 4, seed=seed) for seed in (1, 1, 2)]
    assert runs[0].seconds == runs[1].seconds != runs[2].seconds
    assert [r.versions for r in runs[0].records] == [r.versions for r in runs[1].records]


@pytest.mark.parametrize("strategy", [DataParallel(), Sharded()])
def test_ten_thousand_ranks_are_simulated(strategy):
    large = machine(cores=32, nodes=313, latency=1e-6, per_byte=1e-9, network=(1e-5, 1e-8))
    result = simulate(strategy, Job(3, STEPS, 64 * 10_000), large, 10_000)
    assert result.processes == 10_000
    assert result.phases["generate"].shape == (10_000,)


def test_too_many_ranks_are_refused_with_the_number_of_cores():
    with pytest.raises(
        SparringError, match="1 x 64 = 64 cores; expected 1 to 64 processes, not 65"
    ):
        simulate(DataParallel(), JOB, machine(), 65)


def test_queues_belong_to_the_pipeline():
    with pytest.raises(SparringError, match="belong to strategy 'pipeline'"):
        simulate(Sharded(), JOB, machine(), 2, queues=StudyQueues())


@pytest.mark.parametrize("field", ["updates", "steps", "batch_size"])
def test_a_job_without_work_is_refused(field):
    with pytest.raises(SparringError, match=f"{field} must be at least 1, not 0"):
        Job(**{"updates": 1, "steps": 1, "batch_size": 1, field: 0})
