from dataclasses import replace

import pytest

from plots.scaling import apriori
from plots.scaling.apriori import Phases, Shards
from plots.scaling.table import analyse
from plots.shared.observations import select
from tests.plots.scaling_tables import BATCHES, Table, amdahl

PHASES = Phases(batches=10, generate=0.9, update=0.1, optimizer=0.02)


@pytest.mark.parametrize(
    ("p", "seconds"), [(2, 9.0), (4, 3.0), (10, 1.0), (32, 1.0)]
)  # 10 x 0.9/1, 10 x 0.9/3, then the trainer limits: 10 x 0.1
def test_pipeline_bound_by_hand(p, seconds):
    assert apriori.pipeline_seconds(PHASES, p) == pytest.approx(seconds)


def test_pipeline_needs_two_processes():
    assert apriori.pipeline_seconds(PHASES, 1.99) is None


def test_a_group_of_trainers_by_hand():
    # 10 x max(0.08 / t + 0.02, 0.9 / (p - t)): of 16 ranks t = 1: 0.1, 2: 0.0643, 3: 0.0692.
    assert apriori.group_seconds(PHASES, 16) == pytest.approx(10 * 0.9 / 14)
    assert apriori.group_seconds(PHASES, 2) == apriori.pipeline_seconds(PHASES, 2)
    assert apriori.group_seconds(PHASES, 1.99) is None
    divided = replace(PHASES, divided=True)
    # t = 6: 0.1 / 6; t = 7: 0.1 / 7 and 0.9 / 57.
    assert apriori.group_seconds(divided, 64) == pytest.approx(10 * 0.9 / 57)


def test_data_parallel_by_hand():
    # 10 x (0.98 / 4 + 0.02) = 2.65; on one process all of 10 x 1.0
    assert apriori.data_parallel_seconds(PHASES, 4) == pytest.approx(2.65)
    assert apriori.data_parallel_seconds(PHASES, 1) == pytest.approx(10.0)
    divided = replace(PHASES, divided=True)
    assert apriori.data_parallel_seconds(divided, 4) == pytest.approx(10 * (0.9 + 0.1) / 4)


def test_data_parallel_is_amdahl_with_the_optimizers_share():
    for p in (2, 8, 32):
        speedup = 10.0 / apriori.data_parallel_seconds(PHASES, p)
        assert speedup == pytest.approx(apriori.amdahl_speedup(0.02, p))


def test_a_shard_costs_what_it_was_measured_to_cost():
    # Of 64 images 2 take 0.2 of the attack and 0.25 of the gradients, where 1/32 was hoped for.
    shards = Shards((1, 2, 32, 64), (1.0, 2.0, 6.0, 10.0), (1.0, 2.0, 5.0, 8.0))
    phases = Phases(10, 0.9, 0.1, 0.02, shards)
    assert apriori.data_parallel_seconds(phases, 1) == pytest.approx(10.0)
    at_32 = 10 * (0.9 * 0.2 + 0.08 * 0.25 + 0.02)
    assert apriori.data_parallel_seconds(phases, 32) == pytest.approx(at_32)
    assert apriori.sharded_seconds(phases, 32) == pytest.approx(10 * (0.9 * 0.2 + 0.1))
    assert apriori.sharded_seconds(phases, 64 / 17) == pytest.approx(10 * (0.9 * 0.4 + 0.1))
    assert apriori.sharded_seconds(phases, 1000) == apriori.sharded_seconds(phases, 64)
    assert apriori.pipeline_seconds(phases, 4) == apriori.pipeline_seconds(PHASES, 4)


def test_shards_of_a_batch_that_grows_with_p_are_whole_batches():
    shards = Shards((1, 64), (5.0, 10.0), (5.0, 8.0))
    measured = {1: Phases(10, 0.9, 0.1, 0.02, shards)}
    classical = apriori.scaled_phases("classical", measured)(4.0)
    assert classical.generate_on(4) == pytest.approx(0.9)
    slides = apriori.scaled_phases("slides", measured)(64.0)
    assert slides.generate_on(64) == pytest.approx(64 * 0.9 * 0.5)


def test_shards_are_read_from_the_table_and_named_in_the_figure(tmp_path):
    timed = {
        "shard_images": "1 64", "shard_generate_seconds": "0.16 0.32",
        "shard_gradients_seconds": "0.033 0.033",
    }  # fmt: skip
    table = Table().training([2], strategies={"data_parallel": amdahl(0.5)}, metrics=timed)
    panel = analyse(select(table.write(tmp_path))).panels[0]
    (curve,) = panel.curves
    assert curve.timed
    assert panel.facet.configuration == ()
    at_32 = 0.16 + 0.16 / 63 + 0.033 + 0.002  # 2 of 64 images
    assert curve.speedup[-1] == pytest.approx(0.355 / at_32)


def test_the_claim_gives_less_than_was_measured():
    assert apriori.amdahl_speedup(1 / 32, 32) == pytest.approx(16.254, abs=1e-3)


@pytest.mark.parametrize(
    ("definition", "generate", "update"),
    [("slides", 4 * 0.9, 0.1), ("report", 3 * 0.9, 0.1), ("classical", 3.6, 4 * 0.08 + 0.02)],
)
def test_phases_of_a_larger_problem(definition, generate, update):
    size = 2 if definition == "report" else 1  # the report's problem for one process has no steps
    found = apriori.scaled_phases(definition, {size: PHASES})(4.0)
    assert found.generate == pytest.approx(generate)
    assert found.update == pytest.approx(update)
    assert found.optimizer == 0.02


def test_phases_are_read_per_batch_from_the_ranks_table(tmp_path):
    path = Table().training([2], strategies={"pipeline": amdahl(0.5)}).write(tmp_path)
    curves = {curve.strategy: curve for curve in analyse(select(path)).panels[0].curves}
    assert set(curves) == {"pipeline"}
    # T_1 = 40 x 0.355 s, T_32 >= 40 x 0.035 s
    assert curves["pipeline"].speedup[-1] == pytest.approx(0.355 / 0.035)
    assert curves["pipeline"].p[0] >= 2.0
    assert BATCHES == 40


def test_without_a_ranks_table_the_reason_is_noted(tmp_path):
    path = Table().training([2], strategies={"pipeline": amdahl(0.5)}).write(tmp_path, ranks=False)
    analysis = analyse(select(path))
    assert analysis.panels[0].curves == ()
    assert analysis.notes == ("no bounds: strong_scaling.ranks.csv is absent",)
