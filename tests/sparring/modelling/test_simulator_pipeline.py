"""The pipeline, event by event: bounds, guarantees, queues."""

from __future__ import annotations

import pytest
from simulated_machines import machine

from sparring.errors import SparringError
from sparring.modelling.simulator import Job, StudyQueues, simulate
from sparring.strategies import Pipeline
from sparring.strategies.telemetry import PHASES

REAL = {"latency": 1e-3, "per_byte": 1e-7, "read": 1e-3, "write": 1e-3, "probe": 1e-4}
MODERN = {
    "weights": "window", "messages": "packed", "receive": "completion", "send": "double_buffered",
}  # fmt: skip
VARIANTS = [
    {}, {"weight_sends": "on_change"}, {"weights": "window"}, {"send": "double_buffered"}, MODERN,
    {"messages": "packed", "receive": "completion"}, {"assignment": "dynamic"},
    {"assignment": "dynamic", "trainer_generates": True}, {"receive_interval": 3}, {"credits": 3},
    {"max_staleness": 2}, {"max_staleness": 4, "staleness_policy": "drop"},
    {"assignment": "dynamic", "max_staleness": 4, "staleness_policy": "drop"},
    {"assignment": "dynamic", "max_staleness": 1}, {"trainers": 2},
    {"trainers": 2, "refresh_steps": 1, **MODERN},
    {"trainers": 2, "assignment": "dynamic", "max_staleness": 4, "staleness_policy": "drop"},
]  # fmt: skip


def test_one_generator_takes_turns_with_a_trainer_that_is_free():
    # 5 batches of 8 s; the last update follows.
    result = simulate(Pipeline(), Job(5, 8, 64), machine(), 2)
    assert result.seconds == pytest.approx(5 * 8 + 2)
    assert result.fill_seconds == pytest.approx(8)
    assert result.drain_seconds == pytest.approx(2)
    assert result.limit.name == "generation"


def test_generators_that_are_faster_than_the_trainer_wait_for_it():
    # Four batches come every 8 s at most, and an update takes 4 s: T = g + N u.
    result = simulate(Pipeline(), Job(40, 8, 64), machine(gradients=4.0), 5)
    assert result.seconds == pytest.approx(8 + 40 * 4)
    assert result.limit.name == "update"
    assert result.waiting_batches.max() <= 4


def test_a_refresh_takes_the_trainers_time():
    # As above, with two further steps of 1 s each before every update.
    options = Pipeline(refresh_steps=2, refresh_scale=10.0)
    result = simulate(options, Job(40, 8, 64), machine(gradients=4.0), 5)
    assert result.seconds == pytest.approx(8 + 40 * 6)
    assert result.limit.name == "update"


def test_trainers_share_updates_and_refreshes():
    # Each of two trains on 32 images: 2 s, and 1 s for two further steps.
    options = Pipeline(trainers=2, refresh_steps=2)
    result = simulate(options, Job(40, 8, 64), machine(gradients=4.0), 6)
    assert result.seconds == pytest.approx(8 + 40 * 3)
    assert result.trainers == 2
    assert {record.generator for record in result.records} == {2, 3, 4, 5}
    assert result.batches.tolist() == [0, 0, 10, 10, 10, 10]
    assert result.phases["update"].tolist() == pytest.approx([120, 120, 0, 0, 0, 0])


def test_trainers_pay_for_what_they_exchange():
    # The batch is copied and met for; then 4008 bytes of sums between two meetings, 1 ms a message.
    # A fused engine's trainers take a half of the optimizer's step each.
    costs = {"latency": 1e-3, "apply": 1.0, "gradients": 4.0}
    given, meeting = 2 * 1e-3, 1e-3
    for backend, apply in (("none", 1.0), ("fused", 0.5)):
        result = simulate(
            Pipeline(trainers=2, **MODERN), Job(40, 8, 64), machine(**costs, backend=backend), 6
        )
        update = 2.0 + given + 2 * meeting + 1e-3 + apply
        assert result.seconds == pytest.approx(8 + 40 * update, abs=0.1)


def test_trainers_exchange_factors_where_they_have_few_images():
    # Two trainers of 32 images, which take 1 s to write, and a half of 0.5 s to multiply.
    costs = {"latency": 1e-3, "gradients": 40.0, "to_add": 2.0, "add": 0.5, "backend": "fused"}
    result = simulate(
        Pipeline(trainers=2, **MODERN), Job(40, 8, 64), machine(**costs, factor_room=32), 6
    )
    given, meeting = 2 * 1e-3, 1e-3
    update = 1.0 + given + 2 * meeting + 1e-3 + 0.25
    # Four generators have each made ten batches after 80 s; the last four are updated on then.
    assert result.seconds == pytest.approx(80 + 4 * update, abs=0.05)
    assert result.phases["update"][0] == pytest.approx(40.0)


def test_as_many_train_as_serve_best():
    # Of 8 ranks: 1 trains for 8 s a batch, 2 for 4 s while 6 generate one every 16/6 s, 3 for 8/3 s
    # while 5 generate one every 3.2 s.
    result = simulate(Pipeline(trainers="auto"), Job(40, 16, 64), machine(gradients=8.0), 8)
    assert result.trainers == 3
    assert result.limit.name == "generation"
    slow = machine(gradients=8.0, latency=2.0)  # where an exchange takes so long, one is best
    assert simulate(Pipeline(trainers="auto"), Job(40, 16, 64), slow, 8).trainers == 1


def test_enough_generators_divide_generation():
    # Three rounds of three batches, which the first round's updates part by 2 s each.
    result = simulate(Pipeline(), Job(9, 8, 64), machine(), 4)
    assert result.seconds == pytest.approx(3 * 8 + 3 * 2)


@pytest.mark.parametrize(("interval", "looks"), [(1, 8), (3, 3), (8, 1)])
def test_every_look_interrupts_the_ascent(interval, looks):
    share = {"gradients": {"median": 0.0}, "loss": {"median": 0.0}, "look": {"median": 0.25}}
    work = [{"batch_size": 64, "step": {"median": 1.0}, **share}]
    strategy = Pipeline(receive_interval=interval)
    result = simulate(strategy, Job(5, 8, 64), machine(work=work), 2)
    assert result.seconds == pytest.approx(5 * (8 + looks * 0.25))


@pytest.mark.parametrize("options", VARIANTS)
def test_arrivals_can_be_replayed_and_no_rank_spends_more_time_than_there_is(options):
    result = simulate(Pipeline(**options), Job(40, 8, 64), machine(**REAL), 4)
    assert [record.update for record in result.records] == list(range(40))
    assert sorted(record.batch for record in result.records) == list(range(40))
    for record in result.records:
        steps, versions = zip(*record.versions, strict=True)
        assert steps[0] == 0
        assert list(steps) == sorted(set(steps))
        assert steps[-1] < 8
        assert list(versions) == sorted(set(versions))
        assert versions[-1] <= record.update
    spent = sum(result.phases[phase] for phase in PHASES)
    assert spent == pytest.approx([result.seconds] * 4, rel=1e-6)
    assert result.seconds >= 40 * max(2.0 / result.trainers, 8.0 / 4)


@pytest.mark.parametrize("bound", [0, 1, 3])
def test_waiting_bounds_staleness_and_keeps_the_order(bound):
    result = simulate(Pipeline(max_staleness=bound), Job(30, 8, 64), machine(**REAL), 5)
    assert result.staleness.max() == bound
    assert [record.batch for record in result.records] == list(range(30))


def test_no_staleness_is_no_parallelism():
    result = simulate(Pipeline(max_staleness=0), Job(10, 8, 64), machine(), 4)
    assert result.seconds == pytest.approx(10 * (8 + 2))


def test_dropping_bounds_staleness():
    options = Pipeline(max_staleness=3, staleness_policy="drop")
    result = simulate(options, Job(30, 8, 64), machine(**REAL), 6)
    assert result.staleness.max() <= 3
    assert result.counters["batches_dropped"] + result.counters["attacks_given_up"] > 0


def test_a_policy_that_makes_no_progress_is_given_up():
    options = Pipeline(max_staleness=0, staleness_policy="drop", receive_interval=8)
    with pytest.raises(SparringError, match="make no progress"):
        simulate(options, Job(2000, 8, 64), machine(gradients=2.0, cores=512, **REAL), 400)


@pytest.mark.parametrize("credits", [1, 2, 5])
def test_credits_bound_what_waits(credits):
    # A generator that looks once in an attack finds no more than its credits.
    options = Pipeline(credits=credits, receive_interval=8, weight_sends="on_change")
    result = simulate(options, Job(60, 8, 64), machine(**REAL), 8)
    taken = result.counters["weights_taken"] + result.counters["weights_ignored"]
    # A look an attack; one more generator by generator that has nothing left to make.
    assert taken <= credits * result.batches[1:].sum() + 7 * credits
    assert result.waiting_weights == credits


def test_without_credits_weights_queue():
    result = simulate(
        Pipeline(), Job(60, 8, 64), machine(**REAL), 4, queues=StudyQueues(per_look=1)
    )
    assert result.waiting_weights > 100


def test_the_oldest_of_a_queue_are_older_than_the_newest():
    """The trainer is idle most of the time and posts weights on every turn."""
    mean = {}
    for content in ("sent", "live"):
        queues = StudyQueues(content=content)
        result = simulate(Pipeline(), Job(60, 8, 64), machine(**REAL), 4, queues=queues)
        mean[content] = result.staleness.mean()
    assert mean["live"] < 5 < mean["sent"]


def test_the_trainer_pays_for_copies_it_makes():
    slow = machine(gradients=2.0, per_byte=1e-4, latency=1e-3, probe=1e-4)
    times = {
        who: simulate(
            Pipeline(), Job(60, 8, 64), slow, 16, queues=StudyQueues(copied_by=who)
        ).seconds
        for who in ("both", "receiver")
    }
    assert times["both"] > times["receiver"] + 10


def test_partial_batches_take_less_unless_whole_buffers_are_trained_on():
    job = Job(6, 8, 64, 3, lambda number: 16 if number % 3 == 2 else 64)
    honest = simulate(Pipeline(), job, machine(), 2)
    defect = simulate(Pipeline(study_partial_batches=True), job, machine(), 2)
    assert honest.seconds == pytest.approx(4 * 8 + 2 * 2 + 0.5)
    assert honest.phases["update"][0] == pytest.approx(4 * 2 + 2 * 0.5)
    assert defect.phases["update"][0] == pytest.approx(6 * 2)


def test_weights_by_the_epoch_need_an_epoch():
    options = Pipeline(send_unit="epochs", weight_sends="on_change")
    with pytest.raises(SparringError, match="epoch_length of at least 1"):
        simulate(options, Job(6, 8, 64), machine(), 2)
    result = simulate(options, Job(9, 8, 64, 3), machine(), 2)
    assert {version for record in result.records for _, version in record.versions} <= {0, 3, 6}


def test_a_network_interface_carries_one_message_at_a_time():
    near = machine(cores=1, nodes=8, per_byte=1e-4)
    far = machine(cores=1, nodes=8, network=(0.0, 1e-4))
    job, options = Job(70, 1, 64), Pipeline(weight_sends="on_change")
    assert simulate(options, job, far, 8).seconds == simulate(options, job, near, 8).seconds
    together = machine(cores=8, per_byte=1e-4)
    assert simulate(options, job, far, 8).seconds > simulate(options, job, together, 8).seconds


@pytest.mark.parametrize("value", [{"per_look": -1}, {"content": "new"}, {"copied_by": "nobody"}])
def test_queues_refuse_what_they_do_not_know(value):
    with pytest.raises(SparringError, match=next(iter(value))):
        StudyQueues(**value)
