"""The emulated workload: on real ranks, through the harness, and refused input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mpi4py import MPI

from experiments import emulated
from experiments.emulated import Emulated
from harness.study.points import expand
from harness.study.study import load_study
from sparring.modelling.calibration.files import machine_name
from tests.calibrations import fields, put
from tests.experiments.emulated_ranks import VARIANTS
from tests.harness.studies import harness, rows_of_table
from tests.mpi import run_ranks

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "experiments"
SMALL = {"updates": 6, "adversary_steps": 4, "batch_size": 8, "backend": "torch"}


@pytest.fixture
def point(tmp_path, monkeypatch):
    """Parameters of a point whose calibration lies in a folder of its own."""
    monkeypatch.setenv(emulated.RESULTS, str(tmp_path))
    return {"strategy": "sequential", "processes": 1, "calibration": put(tmp_path).name, **SMALL}


def test_every_strategy_is_emulated_with_its_messages(tmp_path):
    shared = SMALL | {"calibration": str(put(tmp_path))}
    program = [str(Path(__file__).parent / "emulated_ranks.py"), json.dumps(shared)]
    output = run_ranks(3, program, fork=False)  # these shall not import PyTorch
    result = json.loads(output.split("RESULT", 1)[1].splitlines()[0])
    assert not result["torch"]
    for variant, told in zip(VARIANTS, result["told"], strict=True):
        metrics, ranks = told["metrics"], told["ranks"]
        assert metrics["batches"] == 6
        assert metrics["loss"] is None
        assert metrics["emulation_cpu_share"] > 0
        assert all(rank["cpu_seconds"] > 0 for rank in ranks)
        assert metrics["staleness_max"] <= (0 if variant == {"strategy": "sharded"} else 6)
        assert sum(rank["bytes_received"] for rank in ranks) > 0
        if variant["strategy"] == "pipeline":
            assert sum(rank["batches"] for rank in ranks) == 6


def run_alone(point):
    workload = Emulated()
    workload.setup(MPI.COMM_SELF, point)
    workload.prepare(False)
    workload.run()
    return workload


@pytest.mark.parametrize(("cpu_seconds", "limited"), [(0.1, False), (0.3, True)])
def test_a_row_is_flagged_above_a_fifth_of_the_machines_cpu_time(point, cpu_seconds, limited):
    workload = run_alone(point)
    workload.cpu_seconds = cpu_seconds * workload.cores
    metrics = workload.observe(1.0)
    assert metrics["emulation_cpu_share"] == pytest.approx(cpu_seconds)
    assert metrics["emulation_limited"] is limited


def test_metrics_are_those_of_training_without_accuracies(point):
    metrics = run_alone(point).observe(2.0)
    assert metrics["images_per_second"] == 6 * 8 / 2.0
    assert metrics["shard_images"] == "1 2 4 8"
    assert metrics["staleness_mean"] == 0
    assert metrics["optimizer_seconds"] == pytest.approx(6 * 7e-6)
    assert metrics["calibration_date"] == "2026-01-02T03:04:05+00:00"
    assert metrics["calibration_digest"].startswith("c")
    assert not {"clean_accuracy", "robust_accuracy"} & set(metrics)


def test_the_newest_calibration_of_this_machine_is_filled_in(tmp_path, point):
    newer = put(tmp_path, day="20260103-1")
    put(tmp_path, backend="fused", day="20260104-1")
    assert Emulated.plan(point) == point  # the user's own choice
    assert Emulated.plan({**point, "calibration": ""})["calibration"] == newer.name


def test_auto_takes_what_auto_would_compute_with(tmp_path, point, monkeypatch):
    fused = put(tmp_path, backend="fused")
    left_open = {**point, "calibration": "", "backend": "auto"}
    assert Emulated.plan(left_open)["calibration"] == point["calibration"]  # SPARRING_BACKEND
    monkeypatch.delenv("SPARRING_BACKEND")
    assert Emulated.plan(left_open)["calibration"] == fused.name


def test_without_a_calibration_a_sentence_tells_how_to_make_one(tmp_path, point, monkeypatch):
    monkeypatch.setenv(emulated.RESULTS, str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"no calibration of .*`python -m sparring calibrate "):
        Emulated.plan({**point, "calibration": ""})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"calibration": "none.json"}, "none.json: cannot be read as a calibration"),
        ({"network": "madry"}, "is of network study; expected one of madry"),
        ({"backend": "fused"}, "is of backend torch; expected one of fused"),
        ({"dataset": "imagenet"}, "dataset must be one of mnist-5k"),
        ({"threads_per_process": 2}, "threads_per_process must be 1"),
        ({"strategy": "pipeline"}, "needs 2 processes or more"),
        ({"btach_size": 3}, "unknown parameter 'btach_size'"),
    ],
)
def test_a_point_that_cannot_be_emulated_is_refused(point, wrong, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        Emulated.check({**point, **wrong})
    assert "\n" not in str(refusal.value)


def test_a_malformed_calibration_is_refused(tmp_path, point):
    (tmp_path / "calibration" / point["calibration"]).write_text(json.dumps(fields(work=[])))
    with pytest.raises(ValueError, match="key 'work'"):
        Emulated.check(point)


@pytest.mark.parametrize("preset", ["smoke", "laptop", "node", "paper"])
@pytest.mark.parametrize("name", ["strong_scaling", "weak_scaling", "strategies"])
def test_the_studies_that_ship_can_be_emulated_up_to_32(name, preset, point):
    study = load_study(STUDIES / f"{name}.toml", preset, ("measure.emulate=32",))
    found = [p for p in expand(study) if p.emulates]
    assert {p.processes for p in found} == {1, 2, 4, 8, 16, 32}
    for p in found:
        Emulated.check({**p.parameters, "backend": "torch", "calibration": point["calibration"]})
        if preset in ("laptop", "node") and p.parameters["strategy"] == "pipeline":
            assert p.parameters["updates"] >= 20 * (p.processes - 1)


def test_emulated_points_stand_beside_measured_ones_in_the_table(tmp_path):
    put(tmp_path, **{"cores_per_node": 2})
    arguments = [
        STUDIES / "strong_scaling.toml", "--preset", "smoke", "--results", tmp_path,
        "--emulate", 2, "--set", "strategy=data_parallel", "--set", "updates=2",
        "--set", "adversary_steps=1", "--set", "batch_size=8", "--set", "evaluation_images=0",
        "--set", "processes=[1]", "--set", "backend=torch",
    ]  # fmt: skip
    planned = json.loads(harness("plan", "--json", *arguments, cwd=ROOT).stdout)["points"]
    assert len({p["point"] for p in planned}) == len(planned) == 3
    ended = harness("run", *arguments, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    rows = [r for r in rows_of_table(tmp_path, "strong_scaling") if r["warmup"] == "false"]
    kinds = sorted((r["source"], r["strategy"], r["processes"], r["workload"]) for r in rows)
    training, pretended = "experiments.training:Training", "experiments.emulated:Emulated"
    assert kinds == [
        ("emulated", "data_parallel", "1", pretended),
        ("emulated", "data_parallel", "2", pretended),
        ("measured", "data_parallel", "1", training),
    ]
    assert {r["status"] for r in rows} == {"ok"}
    assert len({r["environment"] for r in rows}) == 1
    for row in rows:
        if row["source"] == "emulated":
            assert row["calibration"].startswith(machine_name())
            assert row["loss"] == ""
        else:
            assert row["calibration"] == ""
