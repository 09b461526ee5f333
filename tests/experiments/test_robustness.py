"""The workload of the robustness study, and the study's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from experiments.robustness.parameters import parse
from experiments.robustness.workload import Robustness, coarser
from harness.study.points import expand
from harness.study.study import load_study
from sparring import checkpoint
from sparring.strategies.telemetry import BatchRecord

STUDY = Path(__file__).parents[2] / "experiments" / "robustness.toml"
SMALL = {
    "updates": 3, "adversary_steps": 2, "step_size": 0.2, "batch_size": 4, "learning_rate": 0.001,
    "evaluation_images": 6, "curve_images": 4, "curve_interval": 2, "clock_steps": 40,
    "deep_restarts": 1,
}  # fmt: skip
ARMS = {
    "sequential": {"strategy": "sequential"},
    "overlapped": {"strategy": "sharded", "overlap": True, "virtual_processes": 32},
    "pipeline": {"strategy": "pipeline", "virtual_processes": 3},
}


def start(arm, **parameters):
    workload = Robustness()
    workload.setup(MPI.COMM_SELF, {"arm": arm, "processes": 1, **ARMS[arm], **SMALL, **parameters})
    workload.prepare(False)
    return workload


def weights(workload):
    found = np.empty(workload.compute.weight_count, workload.compute.dtype)
    workload.compute.read_weights(found)
    return found


def test_arms_of_a_seed_begin_alike_and_train_the_same_images_to_other_ages():
    workloads = {arm: start(arm, seed=3) for arm in ARMS}
    first = {arm: weights(workload) for arm, workload in workloads.items()}
    assert all((first[arm] == first["sequential"]).all() for arm in ARMS)
    metrics = {}
    for arm, workload in workloads.items():
        workload.run()
        metrics[arm] = workload.observe(1.0)
    ages = {arm: [r.staleness for r in w.log.records] for arm, w in workloads.items()}
    assert ages["sequential"] == [0, 0, 0]
    assert ages["overlapped"] == [0, 1, 1]
    assert max(ages["pipeline"]) > 1
    for workload in workloads.values():
        assert sorted(r.batch for r in workload.log.records) == [0, 1, 2]
    assert not (weights(workloads["overlapped"]) == weights(workloads["sequential"])).all()
    # 32 ranks, of which each has a small share of an attack, are faster than one.
    assert metrics["overlapped"]["simulated_seconds"] < metrics["sequential"]["simulated_seconds"]
    for found in metrics.values():
        assert 0 <= found["pgd_40_accuracy"] <= found["clean_accuracy"] <= 1
        assert found["plateau"] in ("true", "false")
        assert "worst_case_accuracy" not in found


def test_the_curve_tells_of_training_and_leaves_the_trained_weights():
    workload = start("sequential")
    workload.run()
    trained = weights(workload)
    workload.observe(1.0)
    assert (weights(workload) == trained).all()
    assert [row["update"] for row in workload.details()] == [2, 3]
    times = [row["simulated_seconds"] for row in workload.details()]
    assert times == sorted(times)
    # Attacks of 40 steps of 40.1 ms (on 4 of 64 images), and updates.
    assert times[-1] == pytest.approx(3 * (40 * 0.0401 * 4 / 64 + 0.0344 * 4 / 64 + 0.001), rel=0.1)


def test_the_deep_seed_keeps_a_checkpoint_and_never_overwrites_one(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_RESULTS", str(tmp_path))
    names = []
    for _ in range(2):
        workload = start("sequential", deep_seed=0, updates=1)
        workload.run()
        metrics = workload.observe(1.0)
        names.append(metrics["checkpoint"])
        assert metrics["worst_case_accuracy"] <= metrics["pgd_40_accuracy"]
    assert len(set(names)) == 2
    kept = checkpoint.load(tmp_path / "checkpoints" / names[0])
    assert kept.about["network"] == "StudyCNN"
    assert kept.updates == 1


def test_long_steps_see_the_weights_of_the_short_ones_that_they_begin_with():
    record = BatchRecord(9, 8, 1, ((0, 2), (7, 3), (8, 4), (17, 5), (39, 6)), None, 1.0)
    assert coarser(record, 40, 5).versions == ((0, 2), (1, 4), (3, 5))
    assert coarser(record, 40, 40) == record
    assert coarser(record, 40, 1).versions == ((0, 2),)


def test_a_refresh_is_trained_and_takes_one_step_of_the_clock():
    found = {}
    for steps in (0, 1):
        workload = start("pipeline", refresh_steps=steps, updates=8, batch_size=8)
        workload.run()
        seconds = workload.observe(1.0)["simulated_seconds"]
        found[steps] = (weights(workload), seconds, workload.simulated)
    assert not (found[0][0] == found[1][0]).all()
    # Two generators of 40 steps keep the trainer waiting: little of the refresh is seen.
    assert 0 < found[1][1] - found[0][1] < 8 * 0.0401 * 8 / 64
    busy = [result.phases["update"][0] for _, _, result in found.values()]
    assert busy[1] - busy[0] == pytest.approx(8 * 0.0401 * 8 / 64, rel=0.1)


def test_the_networks_of_the_sweep_are_not_attacked_with_restarts():
    workload = start("sequential", deep_seed=0, role="sweep", updates=1)
    workload.run()
    assert "worst_case_accuracy" not in workload.observe(1.0)


@pytest.mark.parametrize("preset", ["smoke", "laptop", "node", "paper", "madry"])
def test_every_preset_pairs_its_arms_and_fixes_the_test(preset):
    found = expand(load_study(STUDY, preset))
    arms: dict[str, set[int]] = {}
    for point in found:
        Robustness.check(point.parameters | {"dataset": "mnist-5k"})
        chosen = parse(point.parameters)
        assert (chosen.margin, chosen.alpha, chosen.endpoint) == (0.01, 0.05, "pgd_40_accuracy")
        assert point.source == ("simulated" if chosen.virtual_processes > 1 else "measured")
        if chosen.role == "arm":
            arms.setdefault(chosen.arm, set()).add(chosen.seed)
    stale = arms.pop("very stale")
    assert stale <= arms["sequential"]
    if preset in ("paper", "madry"):  # two seeds of what loses elsewhere, and no verdict
        assert {len(arms.pop(arm)) for arm in ("sharded overlapped", "pipeline 32")} == {len(stale)}
        assert len(stale) == 2
    else:
        assert len(stale) >= {"smoke": 2}.get(preset, 6)
    assert {len(seeds) for seeds in arms.values()} == {len(arms["sequential"])}
    assert (
        len(arms["sequential"])
        >= {"smoke": 2, "laptop": 16, "node": 32, "paper": 8, "madry": 8}[preset]
    )
    assert len({point.parameters["updates"] for point in found}) == 1


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"arm": "A/B"}, "parameter 'arm'"),
        ({"margin": 0}, "parameter 'margin': expected a number greater than 0, found 0"),
        ({"updats": 3}, "unknown parameter 'updats'"),
        ({"calibration": "nowhere"}, "nowhere: cannot be read as a calibration"),
        ({"strategy": "pipeline", "virtual_processes": 1}, "needs 2 processes or more"),
    ],
)
def test_a_point_that_cannot_run_is_refused_in_a_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        Robustness.check({"arm": "a", "processes": 1, "strategy": "sequential", **SMALL, **wrong})
    assert "\n" not in str(refusal.value)
