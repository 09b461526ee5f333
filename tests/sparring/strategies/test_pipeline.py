"""The pipeline and its variations on real MPI ranks: each batch once, weights as asked for."""

from __future__ import annotations

import pytest

from tests.sparring.strategies.cases import UPDATES, Case, joint, train, trained

SELDOM = {"receive_interval": 4, "send_interval": 3, "weight_sends": "on_change"}
PLAIN = joint(*(Case("pipeline", p, options) for p in (2, 3, 5) for options in ({}, SELDOM)))


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_pipeline_trains_every_batch_once_as_what_it_is(case):
    trainer, *generators = trained(case)
    numbers = [t["number"] for t in trainer["trained"]]
    assert sorted(numbers) == list(range(UPDATES))
    for batch in trainer["trained"]:  # partial ones included: no row is trained twice
        assert batch["rows"] == list(range(batch["whole"]))
    for rank, generator in enumerate(generators, start=1):
        assert generator["attacked"] == list(range(rank - 1, UPDATES, case.processes - 1))
        assert generator["role"] == "generator"
    assert trainer["final"] == UPDATES
    assert trainer["role"] == "trainer"


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


VARIED = joint(
    *(Case("pipeline", p, options, slow_rank=p - 1) for p in (2, 4) for options in VARIATIONS)
)


@pytest.mark.parametrize("case", VARIED, ids=str)
def test_every_variation_trains_every_batch_once_and_tells_its_true_age(case):
    trainer, *generators = trained(case)
    options, processes = case.options, case.processes
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


def test_the_studys_defect_trains_left_over_rows_again():
    """Updates 4 and 9 ... are partial batches of 3 rows in a buffer for 8."""
    trainer, _ = train("pipeline", 2, study_partial_batches=True, updates=5)
    last = trainer["trained"][-1]
    assert last["whole"] == 8
    assert last["rows"] == [0, 1, 2, 3, 4, 5, 6, 7]  # 3 to 7 are left from the batch before


def test_newer_weights_are_a_sign_of_life_for_a_generator_that_has_ended():
    """Rank 1 makes its half in little time and waits for longer than its patience for rank 2."""
    # Patient for several of its batches, on a busy machine, too, but not for all of them.
    trainer, *_ = train(
        "pipeline", 3, slow_rank=2, slow_seconds=0.1, patience_seconds=1.5, weight_sends="on_change"
    )
    assert trainer["final"] == UPDATES
