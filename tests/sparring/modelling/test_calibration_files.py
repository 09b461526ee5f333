"""Calibrations on disk: names, the newest, what is malformed, and one that is really measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparring.errors import SparringError
from sparring.modelling.calibration.calibration import load
from sparring.modelling.calibration.files import keep, machine_name, newest
from tests.calibrations import calibration, fields, put

ROOT = Path(__file__).parents[3]


def find(folder: Path, *backends: str) -> str | None:
    path = newest(
        folder, network="study", dtype="float32", backends=backends, machine=machine_name()
    )
    return path and path.name.split(".", 3)[3]


def test_nothing_is_overwritten_and_the_newest_counts(tmp_path):
    paths = [keep(calibration(), tmp_path) for _ in range(11)]
    assert len(set(paths)) == 11
    assert paths[-1].name == f"{machine_name()}.study.float32.torch.20260102-11.json"
    assert load(paths[0]) == calibration()
    assert find(tmp_path, "torch") == "torch.20260102-11.json"  # not -9, the last by letter
    keep(calibration(date="2026-02-01T00:00:00+00:00"), tmp_path)
    keep(calibration(date="2025-12-31T00:00:00+00:00"), tmp_path)
    assert find(tmp_path, "torch") == "torch.20260201-1.json"


def test_another_backend_or_machine_is_not_taken(tmp_path):
    keep(calibration(name="another-machine", backend="fused"), tmp_path)
    keep(calibration(backend="torch"), tmp_path)
    assert find(tmp_path, "fused") is None
    assert find(tmp_path, "fused", "torch") == "torch.20260102-1.json"
    keep(calibration(backend="fused"), tmp_path)
    assert find(tmp_path, "fused", "torch") == "fused.20260102-1.json"
    assert find(tmp_path / "nowhere", "torch") is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"work": []}, r"key 'work': expected .*at least 1"),
        ({"apply": {"median": -1}}, r"key 'apply.median': expected greater than or equal to 0"),
        ({"speed": 3}, r"key 'speed'"),
        ({"gradient_parts": [4]}, "gradient_parts must add up to gradient_bytes, 40, not 4"),
    ],
)
def test_a_malformed_calibration_is_told_of_in_a_sentence(tmp_path, change, sentence):
    path = put(tmp_path)
    path.write_text(json.dumps(fields() | change))
    with pytest.raises(SparringError, match=sentence) as refusal:
        load(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def calibrate(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PMI", "OMPI", "SLURM"))}
    return subprocess.run(
        [sys.executable, "-m", "sparring", "calibrate", *map(str, arguments)],
        cwd=ROOT, env={**kept, **variables}, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip


@pytest.mark.alone
@pytest.mark.compiler
def test_it_starts_its_ranks_and_measures_all_that_is_needed(tmp_path):
    ended = calibrate(
        "--backend", "torch", "--batch-size", 4, "--batch-size", 1, "--seconds", 0.1,
        "--results", tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    path = newest(
        tmp_path / "calibration", network="study", dtype="float32", backends=("torch",),
        machine=machine_name(),
    )  # fmt: skip
    assert path is not None
    assert f"calibration: {path}" in ended.stdout
    found = load(path)
    assert [work.batch_size for work in found.work] == [1, 4]
    for work in found.work:
        for part in (work.step, work.gradients, work.loss, work.prepare):
            assert part.median > 0
            assert len(part.samples) >= 5
    assert found.slowdown[0].factor == 1.0
    assert sum(found.gradient_parts) == found.gradient_bytes == 405_840 * 4
    sizes = [message.bytes for message in found.within.messages]
    assert {8, found.weights_bytes, 64 * found.image_bytes} <= set(sizes)
    assert found.within.seconds(8) < found.within.seconds(4_194_304)
    assert {c.processes for c in found.allreduce} == {c.processes for c in found.broadcast}
    assert min(found.probe.median, found.window_put.median, found.window_get.median) > 0
    assert found.environment["packages"]["torch"]


def test_one_rank_is_refused_with_how_to_start_more():
    ended = calibrate("--seconds", 0.1, PMI_RANK="0", PMI_SIZE="1")
    assert ended.returncode != 0
    assert "error: calibrating needs 2 processes or more on the first node, not 1" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_no_calibration_says_what_would_be(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('name = "mine"\n')
    with pytest.raises(SparringError, match=r"study\.toml: no calibration: the key .* is missing"):
        load(path)
