"""Strategies on real MPI ranks, driving a compute that only does bookkeeping."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpi4py import MPI

from sparring.compute.interface import Batch
from sparring.errors import SparringError
from sparring.strategies import (
    STRATEGIES,
    DataParallel,
    Pipeline,
    RankLog,
    Run,
    Sequential,
    Sharded,
)
from sparring.strategies.base import shard
from sparring.strategies.pipeline import roles
from sparring.strategies.sharded import balanced_share
from sparring.strategies.waiting import SilentRankError, Waiting
from tests.mpi import run_ranks

PROGRAM = str(Path(__file__).with_name("strategy_ranks.py"))
UPDATES = 23


def train(name, processes, slow_rank=-1, updates=UPDATES, **options):
    """What each rank did, by rank."""
    text = run_ranks(processes, [PROGRAM, name, json.dumps(options), str(updates), str(slow_rank)])
    return json.loads(text.split("FACTS", 1)[1].splitlines()[0])


@given(rows=st.integers(0, 200), parts=st.integers(1, 40))
def test_shards_cover_every_row_once_and_differ_by_one_at_most(rows, parts):
    shares = [list(range(rows))[shard(rows, parts, part)] for part in range(parts)]
    assert [row for share in shares for row in share] == list(range(rows))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_phases_exclude_each_other():
    now = iter([0.0, 2.0, 5.0, 6.0])
    log = RankLog("generator", clock=lambda: next(now))
    with log.phase("generate"), log.phase("receive"):
        pass
    assert log.seconds == {"generate": 3.0, "receive": 3.0, "update": 0, "send": 0, "wait": 0}


def test_waiting_without_spinning_sleeps_until_the_condition_holds():
    answers = iter([False, False, True])
    Waiting(spin=False).until(lambda: next(answers), "an answer")
    assert next(answers, "asked no further") == "asked no further"


def test_sequential_trains_all_batches_in_order():
    (rank,) = train("sequential", 1)
    assert [t["number"] for t in rank["trained"]] == list(range(UPDATES))
    assert rank["staleness"] == [0] * UPDATES
    assert rank["role"] == "both"
    assert rank["bytes_sent"] == 0


@pytest.mark.parametrize(
    ("processes", "reduction"), [(1, "auto"), (2, "messages"), (3, "shared_memory"), (5, "auto")]
)
def test_data_parallel_shares_every_batch_at_staleness_0(processes, reduction):
    """5 ranks on fewer cores too, and more ranks than a partial batch has rows."""
    ranks = train("data_parallel", processes, updates=10, reduction=reduction)
    for number in range(10):
        shares = [rank["trained"][number] for rank in ranks]
        rows = [row for share in shares for row in share["rows"]]
        assert rows == list(range(shares[0]["whole"]))
        assert {share["version"] for share in shares} == {number}
        assert all(share["oldest"] in (None, number) for share in shares)
    assert all(rank["losses"] == pytest.approx([1.0] * 10) for rank in ranks)
    assert {rank["final"] for rank in ranks} == {10}


@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize(
    "options", [{}, {"receive_interval": 4, "send_interval": 3, "weight_sends": "on_change"}]
)
def test_pipeline_trains_every_batch_once_as_what_it_is(processes, options):
    trainer, *generators = train("pipeline", processes, **options)
    numbers = [t["number"] for t in trainer["trained"]]
    assert sorted(numbers) == list(range(UPDATES))
    for batch in trainer["trained"]:  # partial ones included: no row is trained twice
        assert batch["rows"] == list(range(batch["whole"]))
    for rank, generator in enumerate(generators, start=1):
        assert generator["attacked"] == list(range(rank - 1, UPDATES, processes - 1))
        assert generator["role"] == "generator"
    assert trainer["final"] == UPDATES
    assert trainer["role"] == "trainer"


def test_pipeline_reports_the_staleness_that_the_batches_really_had():
    trainer, *_ = train("pipeline", 3, slow_rank=2)
    real = [t["version"] - t["oldest"] for t in trainer["trained"]]
    assert trainer["staleness"] == real
    assert max(real) >= 1  # the first two batches are made from the initial weights


def test_a_slow_generator_gets_the_newest_weights_and_no_queue_of_old_ones():
    trainer, _, slow = train("pipeline", 3, slow_rank=2)
    written = slow["versions_written"]
    assert written == sorted(set(written))
    # Were every version queued for it, it would have to read all of them.
    assert len(written) <= slow["batches"] * 4
    sent = trainer["bytes_sent"]
    received = sum(rank["bytes_received"] for rank in (_, slow))
    assert sent == received  # nothing is left in flight


def test_send_interval_sends_only_so_often():
    every = train("pipeline", 2, weight_sends="on_change")[0]
    seldom = train("pipeline", 2, weight_sends="on_change", send_interval=8)[0]
    assert seldom["bytes_sent"] <= UPDATES // 8 * (4 * 100_000 + 8)
    assert every["bytes_sent"] > seldom["bytes_sent"]


@pytest.mark.parametrize(("name", "processes"), [("sequential", 2), ("pipeline", 1)])
def test_a_wrong_number_of_processes_is_refused_in_a_sentence(name, processes):
    with pytest.raises(SparringError, match=f"strategy '{name}' needs .* not {processes}"):
        STRATEGIES[name]().check(processes)


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="receive_interval must be at least 1, not 0"):
        Pipeline(receive_interval=0)
    with pytest.raises(ValueError, match="trainers must be at least 1, or 'auto', not 0"):
        Pipeline(trainers=0)
    with pytest.raises(ValueError, match="trainers must be an integer or 'auto', not 'all'"):
        Pipeline(trainers="all")
    with pytest.raises(SparringError, match=r"4 processes or more \(3 trainers and a generator\)"):
        Pipeline(trainers=3).check(3)
    assert Sequential().check(1) is None


VARIATIONS = [
    {"messages": "packed"},
    {"messages": "packed", "receive": "completion"},
    {"send": "double_buffered"},
    {"messages": "packed", "receive": "completion", "send": "double_buffered"},
    {"weights": "window"},
    {"weights": "window", "messages": "packed", "receive": "completion"},
    {"weight_sends": "on_change", "credits": 3},
    {"credits": 3},
    {"assignment": "dynamic"},
    {"assignment": "dynamic", "trainer_generates": True},
    {"assignment": "dynamic", "trainer_generates": True, "weights": "window"},
    {"assignment": "dynamic", "trainer_generates": True, "messages": "packed",
     "receive": "completion", "send": "double_buffered"},
    {"send_unit": "epochs", "weight_sends": "on_change"},
    {"max_staleness": 0},
    {"max_staleness": 2, "send": "double_buffered", "messages": "packed", "receive": "completion"},
    {"max_staleness": 1, "assignment": "dynamic", "trainer_generates": True},
    {"max_staleness": 1, "weights": "window"},
    {"max_staleness": 0, "staleness_policy": "drop"},
    {"max_staleness": 1, "staleness_policy": "drop", "weights": "window"},
    {"max_staleness": 1, "staleness_policy": "drop", "assignment": "dynamic",
     "trainer_generates": True},
]  # fmt: skip


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("options", VARIATIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_every_variation_trains_every_batch_once_and_tells_its_true_age(options, processes):
    trainer, *generators = train("pipeline", processes, slow_rank=processes - 1, **options)
    assert sorted(t["number"] for t in trainer["trained"]) == list(range(UPDATES))
    assert all(t["rows"] == list(range(t["whole"])) for t in trainer["trained"])
    real = [t["version"] - t["oldest"] for t in trainer["trained"]]
    assert trainer["staleness"] == real
    assert [t["number"] for t in trainer["trained"]] == [r[1] for r in trainer["records"]]
    bound = options.get("max_staleness")
    if bound is not None:
        assert max(real) <= bound
    if bound is not None and options.get("staleness_policy") != "drop":
        assert [t["number"] for t in trainer["trained"]] == list(range(UPDATES))
    if options.get("weights") != "window":
        assert trainer["bytes_sent"] == sum(g["bytes_received"] for g in generators)
    assert trainer["bytes_received"] == sum(g["bytes_sent"] for g in generators)
    made = sum(rank["batches"] for rank in (trainer, *generators))
    assert made == UPDATES + trainer["counters"].get("batches_dropped", 0)
    if options.get("trainer_generates"):
        # Bounded staleness leaves work for max_staleness + 1 ranks at a time.
        assert trainer["batches"] > 0 or processes > 1 + options.get("max_staleness", processes)
        assert trainer["role"] == "both"


@pytest.mark.parametrize(
    ("trainers", "options"),
    [
        (2, {}),
        (3, {"refresh_steps": 2}),
        (2, {"weights": "window", "messages": "packed", "receive": "completion",
             "send": "double_buffered", "refresh_steps": 1}),
        (2, {"assignment": "dynamic", "trainer_generates": True, "weights": "window"}),
        (2, {"max_staleness": 1, "weight_sends": "on_change"}),
        (2, {"max_staleness": 1, "staleness_policy": "drop"}),
        (2, {"study_partial_batches": True}),
        (9, {"record_strength": True}),
    ],
)  # fmt: skip
def test_trainers_share_every_batch_and_all_have_the_same_weights(trainers, options):
    """9: more trainers than a batch has rows."""
    defect = options.get("study_partial_batches")
    ranks = train("pipeline", trainers + 2, trainers=trainers, slow_rank=trainers + 1, **options)
    group, generators = ranks[:trainers], ranks[trainers:]
    assert {rank["final"] for rank in group} == {UPDATES}
    assert [rank["role"] for rank in generators] == ["generator"] * 2
    assert {rank["role"] for rank in group[1:]} == {"trainer"}
    assert sorted(t["number"] for t in group[0]["trained"]) == list(range(UPDATES))
    for update, shares in enumerate(zip(*(rank["trained"] for rank in group), strict=True)):
        assert len({share["number"] for share in shares}) == 1
        assert {share["version"] for share in shares} == {update}
        rows = [row for share in shares for row in share["rows"]]
        assert len(rows) == shares[0]["whole"]
        assert rows == list(range(shares[0]["whole"])) or defect
        seen = [share["oldest"] for share in shares if share["rows"]]
        assert group[0]["staleness"][update] == update - min(seen) or defect
        if options.get("refresh_steps"):
            assert {share["newest"] for share in shares if share["rows"]} == {update}
    for rank in group[1:]:
        assert rank["records"] == group[0]["records"]
        assert rank["losses"] == group[0]["losses"] == pytest.approx([1.0] * UPDATES)
    made = {record[2] for record in group[0]["records"]}
    lone = {0} if options.get("trainer_generates") else set()
    assert made == {trainers, trainers + 1} | (made & lone)
    assert {rank["counters"]["trainers"] for rank in ranks} == {trainers}


def test_the_number_of_trainers_is_measured():
    """An attack of 4 steps of 5 ms, an update of none: one trainer; refreshed as long: several."""
    (trainer, *_) = train("pipeline", 3, trainers="auto", updates=4)
    assert trainer["counters"]["trainers"] == 1
    slow = {"slow_rank": 0, "slow_seconds": 0.01, "row_seconds": 0.01, "updates": 4}
    (trainer, *_) = train("pipeline", 5, trainers="auto", refresh_steps=1, **slow)
    assert trainer["counters"]["trainers"] in (2, 3)


def test_the_best_number_of_trainers_is_found_behind_a_worse_one(monkeypatch):
    """Shares of 16 images are cheap, and those of 13 or 11, which fill a block in part, dear."""
    by_share = {64: 9.0, 32: 5.0, 22: 4.0, 16: 2.2, 13: 2.6, 11: 2.5, 10: 2.4, 8: 1.5}
    monkeypatch.setattr(roles, "_update", lambda options, run, batch, part: part.stop)
    monkeypatch.setattr(roles, "_seconds", lambda action: by_share.get(action(), 40.0))

    class Compute:
        def rows(self, number):
            return 64

        def attack(self, number, part, on_step=None, every=1):
            return 40.0 if on_step else Batch(0, 64, np.zeros((64, 1)), np.zeros(64, np.int64))

    class Comm:
        rank, size = 0, 32

        def Ibcast(self, numbers):  # noqa: N802
            return MPI.REQUEST_NULL

    run = Run(Comm(), Compute(), 1)
    assert roles._choose(Pipeline(trainers="auto"), run, Waiting(spin=True)) == 8
    assert run.log.notes == [
        "8 of 32 ranks train: an update of 8 images each takes 1500.0 ms, and 24 generate a "
        "minibatch in 1666.7 ms"
    ]


def test_dropped_batches_are_counted_and_made_again():
    trainer, *generators = train(
        "pipeline", 4, slow_rank=3, max_staleness=0, staleness_policy="drop"
    )
    dropped = trainer["counters"].get("batches_dropped", 0)
    given_up = sum(g["counters"].get("attacks_given_up", 0) for g in generators)
    assert dropped + given_up > 0
    assert trainer["staleness"] == [0] * UPDATES


@pytest.mark.parametrize(
    "options", [{}, {"assignment": "dynamic", "trainer_generates": True}], ids=["static", "dynamic"]
)
def test_a_policy_of_ones_own_decides_which_batches_are_made_again(options):
    """It looks at the end of attacks alone: their beginnings may be of any age."""
    trainer, *generators = train("pipeline", 4, slow_rank=3, staleness_policy="own", **options)
    assert sorted(t["number"] for t in trainer["trained"]) == list(range(UPDATES))
    assert all(t["version"] == t["newest"] for t in trainer["trained"])
    dropped = trainer["counters"]["batches_dropped"]
    assert dropped > 0
    assert sum(rank["batches"] for rank in (trainer, *generators)) == UPDATES + dropped


def test_fast_generators_do_not_crowd_out_a_slow_one():
    static = train("pipeline", 3, slow_rank=2)
    assert [rank["batches"] for rank in static] == [0, 12, 11]  # its own share, however slow
    dynamic = train("pipeline", 3, slow_rank=2, assignment="dynamic")
    assert dynamic[1]["batches"] > dynamic[2]["batches"] > 0
    order = [record[2] for record in dynamic[0]["records"]]
    assert 2 in order[: len(order) // 2]  # served long before the fast one ran out


def test_credits_bound_what_is_sent_every_turn():
    trainer, slow = train("pipeline", 2, slow_rank=1, weight_sends="every_turn", credits=2)
    # A look takes all that is in flight: at most the credits, at each of 4 steps of each batch,
    # and what is in flight when the last batch has been sent.
    assert trainer["counters"]["weights_sent"] <= 2 * (4 * UPDATES + 2) + UPDATES
    taken, ignored = (slow["counters"].get(f"weights_{x}", 0) for x in ("taken", "ignored"))
    assert taken + ignored == trainer["counters"]["weights_sent"]


def test_strength_is_told_under_the_weights_that_made_and_that_consume():
    trainer, _ = train("pipeline", 2, record_strength=True)
    for _, _, _, versions, made_loss in trainer["records"]:
        assert made_loss == versions[-1][1]  # the bookkeeping compute's loss is its version


@pytest.mark.parametrize(
    ("processes", "broadcast"),
    [(1, "shared_memory"), (2, "shared_memory"), (3, "messages"), (5, "shared_memory")],
)
@pytest.mark.parametrize("overlap", [False, True])
def test_sharded_gathers_whole_batches_of_known_age(processes, broadcast, overlap):
    ranks = train("sharded", processes, overlap=overlap, broadcast=broadcast, record_strength=True)
    trainer = ranks[0]
    assert [t["number"] for t in trainer["trained"]] == list(range(UPDATES))
    assert all(t["rows"] == list(range(t["whole"])) for t in trainer["trained"])
    expected = [0] + [1] * (UPDATES - 1) if overlap else [0] * UPDATES
    assert trainer["staleness"] == expected
    assert [t["version"] - t["oldest"] for t in trainer["trained"]] == expected
    made = [record[4] for record in trainer["records"]]
    assert made == pytest.approx([n - age for n, age in enumerate(expected)])
    assert trainer["final"] == UPDATES


@pytest.mark.parametrize(
    ("name", "processes", "options"),
    [
        ("pipeline", 3, {}),
        ("pipeline", 3, {"assignment": "dynamic", "trainer_generates": True}),
        ("pipeline", 4, {"max_staleness": 2, "messages": "packed", "receive": "completion"}),
        ("sharded", 1, {"overlap": True}),
        ("sharded", 3, {"overlap": True}),
        ("sharded", 5, {"overlap": True, "trainer_share": 0.0}),
    ],
)
def test_a_refresh_sees_the_weights_that_its_batch_updates(name, processes, options):
    refresh = {"refresh_steps": 2, "refresh_scale": 1.5}
    ranks = train(name, processes, record_strength=True, **refresh, **options)
    trainer = ranks[0]
    assert sorted(t["number"] for t in trainer["trained"]) == list(range(UPDATES))
    assert all(t["rows"] == list(range(t["whole"])) for t in trainer["trained"])
    assert [t["newest"] for t in trainer["trained"]] == [t["version"] for t in trainer["trained"]]
    # Age and strength stay those of the batch as it was made.
    assert trainer["staleness"] == [t["version"] - t["oldest"] for t in trainer["trained"]]
    assert max(trainer["staleness"]) > 0
    for _, _, _, versions, made_loss in trainer["records"]:
        assert made_loss == pytest.approx(versions[-1][1])
    refreshing = ranks if name == "sharded" else ranks[:1]
    for rank in refreshing:
        times = rank["batches"] if name == "sharded" else UPDATES
        assert rank["refreshed"] == [2, 1.5] * times
    assert all(rank["refreshed"] == [] for rank in ranks if rank not in refreshing)


@pytest.mark.parametrize("trainer_share", [0.0, 0.25, 0.9])
def test_the_trainer_may_take_a_smaller_share(trainer_share):
    trainer, other = train("sharded", 2, trainer_share=trainer_share, overlap=True)
    shares = [2 if number % 5 == 4 else 4 for number in range(UPDATES)]  # half of 3 or 8 rows
    assert [t["number"] for t in trainer["trained"]] == list(range(UPDATES))
    expected = sum(round(share * trainer_share) > 0 for share in shares)
    assert trainer["batches"] == expected
    assert other["batches"] == UPDATES


@given(
    rows=st.integers(0, 100),
    processes=st.integers(2, 20),
    share=st.floats(0, 1),
)
def test_sharded_parts_cover_every_row_once(rows, processes, share):
    strategy = Sharded(trainer_share=share)
    parts = [list(range(rows))[strategy.part(rows, processes, rank)] for rank in range(processes)]
    assert [row for part in parts for row in part] == list(range(rows))


def test_balanced_share_lets_trainer_and_generators_end_together():
    g, u, p = 0.5, 0.05, 4
    x = balanced_share(g, u, p)
    assert u + x * g / p == pytest.approx((g - x * g / p) / (p - 1))
    assert balanced_share(0.1, 1.0, 8) == 0.0
    assert balanced_share(1.0, 0.0, 8) == 1.0
    with pytest.raises(ValueError, match="generate_seconds must be above 0"):
        balanced_share(0.0, 1.0, 2)


@pytest.mark.parametrize("processes", [2, 3])
def test_overlapped_reduction_reduces_the_same(processes):
    ranks = train("data_parallel", processes, updates=7, overlap=True, record_strength=True)
    assert {rank["final"] for rank in ranks} == {7}
    assert [record[4] for record in ranks[0]["records"]] == pytest.approx(list(range(7)))
    plain = train("data_parallel", processes, updates=7)
    assert ranks[0]["bytes_sent"] == plain[0]["bytes_sent"]


@pytest.mark.parametrize(
    ("name", "processes"),
    [("sequential", 1), ("data_parallel", 2), ("sharded", 2), ("pipeline", 3)],
)
def test_training_can_begin_in_the_middle(name, processes):
    trainer = train(name, processes, start=9)[0]
    assert sorted(t["number"] for t in trainer["trained"]) == list(range(9, UPDATES))
    assert trainer["final"] == UPDATES
    assert [record[0] for record in trainer["records"]] == list(range(9, UPDATES))


def test_the_studys_defect_trains_left_over_rows_again():
    """Updates 4 and 9 ... are partial batches of 3 rows in a buffer for 8."""
    trainer, _ = train("pipeline", 2, study_partial_batches=True, updates=5)
    last = trainer["trained"][-1]
    assert last["whole"] == 8
    assert last["rows"] == [0, 1, 2, 3, 4, 5, 6, 7]  # 3 to 7 are left from the batch before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"receive": "completion"}, "receive 'completion' needs messages 'packed'"),
        ({"trainer_generates": True}, "trainer_generates needs assignment 'dynamic'"),
        ({"max_staleness": -1}, "max_staleness must be at least 0"),
        (
            {"max_staleness": 1, "send_interval": 4, "weight_sends": "on_change"},
            "at least every max_staleness . 1 updates",
        ),
        ({"send_interval": 4}, "send_interval 4 updates needs weight_sends 'on_change'"),
        ({"receive_interval": "abc"}, "receive_interval must be an integer, not 'abc'"),
        ({"max_staleness": "2"}, "max_staleness must be an integer"),
        ({"trainer_generates": "maybe"}, "trainer_generates must be true or false"),
        (
            {"max_staleness": 1, "staleness_policy": "drop", "send": "double_buffered"},
            "'drop' needs",
        ),
        ({"staleness_policy": "hope"}, "must be 'wait' or 'drop' or a function, not 'hope'"),
        ({"staleness_policy": max, "max_staleness": 2}, "max_staleness must be None, not 2"),
        ({"staleness_policy": max, "send": "double_buffered"}, "of your own needs send"),
        ({"refresh_steps": -1}, "refresh_steps must be at least 0, not -1"),
        ({"refresh_scale": 0.0}, "refresh_scale must be finite and above 0, not 0"),
        (
            {"refresh_steps": 1, "study_partial_batches": True},
            "refresh_steps contradicts study_partial_batches",
        ),
        ({"weights": "pigeon"}, "weights must be 'messages' or 'window', not 'pigeon'"),
    ],
)
def test_contradicting_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Pipeline(**options)


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        (DataParallel, {"overlap": "maybe"}, "overlap must be true or false, not 'maybe'"),
        (
            DataParallel,
            {"reduction": "x"},
            "reduction must be one of auto, shared_memory, messages",
        ),
        (DataParallel, {"overlap": True, "reduction": "shared_memory"}, "by messages"),
        (Sharded, {"overlap": 1}, "overlap must be true or false, not 1"),
        (
            Sharded,
            {"broadcast": "x"},
            "broadcast must be one of auto, shared_memory, messages, not",
        ),
        (Sharded, {"trainer_share": "abc"}, "trainer_share must be a number, not 'abc'"),
        (Sharded, {"trainer_share": 2}, "trainer_share must be within 0 to 1, not 2"),
        (Sharded, {"refresh_steps": 1}, "refresh_steps needs overlap"),
        (Sharded, {"overlap": True, "refresh_scale": float("inf")}, "must be finite and above 0"),
    ],
)
def test_options_of_a_wrong_type_are_refused(kind, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        kind(**options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sharded", {"overlap": True}),
        ("data_parallel", {"overlap": True}),
        ("pipeline", {"messages": "packed", "receive": "completion", "assignment": "dynamic"}),
    ],
)
def test_nothing_is_made_where_no_update_is_due(name, options):
    ranks = train(name, 3, updates=4, start=4, **options)
    assert all(rank["attacked"] == rank["trained"] == [] for rank in ranks)


def test_a_generator_that_makes_a_batch_again_reserves_no_further_ones():
    """A rejected batch earns no grant, or the slow generator would hoard the rest of the run."""
    trainer, *_ = train(
        "pipeline", 3, slow_rank=2, max_staleness=0, staleness_policy="drop", assignment="dynamic",
        receive_interval=4, updates=60,
    )  # fmt: skip
    assert trainer["counters"]["batches_dropped"] > 2
    order = [record[2] for record in trainer["records"]]
    assert 1 in order[-3:]  # when the numbers run out, rank 2 holds the two that it is owed


def test_newer_weights_are_a_sign_of_life_for_a_generator_that_has_ended():
    """Rank 1 makes its half in little time and waits for longer than its patience for rank 2."""
    # Patient for several of its batches, on a busy machine, too, but not for all of them.
    trainer, *_ = train(
        "pipeline", 3, slow_rank=2, slow_seconds=0.1, patience_seconds=1.5, weight_sends="on_change"
    )
    assert trainer["final"] == UPDATES


def test_a_silent_rank_is_named():
    waiting = Waiting(spin=False, patience_seconds=0.01)
    with pytest.raises(SilentRankError, match=r"no sign for 0\.01 s of rank 3's batch 7"):
        waiting.until(lambda: False, "rank 3's batch 7")
    with pytest.raises(SilentRankError, match="rank 3"):
        Waiting(spin=True, patience_seconds=0.01).until(lambda: False, "rank 3")
