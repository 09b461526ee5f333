"""Studies that name a workload which emulates them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.launch.preflight import complete
from harness.run.launches import lacking
from harness.run.session import Session
from harness.study.points import expand
from harness.submission.manifest import Manifest, planned_points, read_manifest, write_manifest
from harness.tables.records import new_identity
from tests.harness.studies import harness, study_of

PRETENDING = """
import os

class Pretending:
    version = 7

    @staticmethod
    def plan(parameters):
        if parameters["mode"] == "raises":
            raise ValueError("there is no bed")
        return {**parameters, "bed": os.path.basename(os.environ["HARNESS_RESULTS"])}

    def setup(self, comm, parameters):
        self.size = comm.size

    def run(self):
        return {"dreams": self.size}

    def teardown(self):
        pass
"""

STUDY = """
[parameters]
mode = "good"
length = 3
[sweep.product]
processes = [1]
[measure]
launches = 1
[emulation]
workload = "pretending:Pretending"
[emulation.parameters]
bed = ""
[emulation.derived]
length = "10 * emulate"
[emulation.sweep.product]
processes = "doubling(1, emulate)"
[presets.short]
[presets.short.emulation.derived]
length = "emulate"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pretending.py").write_text(PRETENDING)
    return tmp_path


def points(folder: Path, *settings: str, preset: str | None = None):
    study = study_of(folder, STUDY, preset, *settings)
    return [(p.source, p.processes, p.parameters["length"]) for p in expand(study)]


def test_emulated_points_follow_the_measured_ones(folder):
    assert points(folder) == [("measured", 1, 3)]
    emulated = [("emulated", p, 40) for p in (1, 2, 4)]
    assert points(folder, "measure.emulate=4") == [("measured", 1, 3), *emulated]
    found = expand(study_of(folder, STUDY, None, "measure.emulate=4"))
    assert [point.index for point in found] == [0, 1, 2, 3]
    assert len({point.id for point in found}) == 4


def test_a_preset_may_emulate_otherwise(folder):
    assert points(folder, "measure.emulate=2", preset="short")[1:] == [
        ("emulated", 1, 2), ("emulated", 2, 2),
    ]  # fmt: skip


def test_settings_reach_whom_they_concern(folder):
    found = points(folder, "measure.emulate=2", "length=5", "processes=[1, 3]", "bed=b")
    assert [(s.replace("oversubscribed", "measured"), p, n) for s, p, n in found] == [
        ("measured", 1, 5), ("measured", 3, 5), ("emulated", 1, 5), ("emulated", 2, 5),
    ]  # fmt: skip
    study = study_of(folder, STUDY, None, "measure.emulate=1", "bed=mine")
    assert [p.parameters.get("bed") for p in expand(study)] == [None, "mine"]


def test_the_workload_fills_in_what_only_this_machine_knows(folder):
    study = study_of(folder, STUDY, None, "measure.emulate=2")
    before = expand(study)
    after = complete(study, before, folder / "hall")
    assert after[0] == before[0]
    assert [p.parameters["bed"] for p in after[1:]] == ["hall", "hall"]
    assert not {p.id for p in after[1:]} & {p.id for p in before}
    elsewhere = complete(study, before, folder / "attic")
    assert elsewhere[1].id != after[1].id


def test_emulated_points_need_no_cores(folder):
    study = study_of(folder, STUDY, None, "measure.emulate=64")
    assert {lacking(p, oversubscribe=False) for p in expand(study) if p.emulates} == {""}


def test_measured_and_emulated_rows_share_an_environment(folder):
    plain = Session(study_of(folder, STUDY), folder)
    both = Session(study_of(folder, STUDY, None, "measure.emulate=2"), folder)
    assert plain.environment == both.environment
    assert both.workload_of(both.points[0]) == ("sleepy:Sleepy", "1")
    assert both.workload_of(both.points[1]) == ("pretending:Pretending", "7")
    (folder / "pretending.py").write_text(PRETENDING + "# other\n")
    assert Session(study_of(folder, STUDY), folder).environment != plain.environment


def test_a_manifest_keeps_which_points_are_emulated(folder):
    session = Session(study_of(folder, STUDY, None, "measure.emulate=2"), folder)
    manifest = Manifest(
        submission=new_identity(), study="sleepy", preset="", overrides=("measure.emulate=2",),
        study_file=session.study.source.path, study_text=session.study.source.text,
        working_folder=folder, by="points", code="c", created_at="2026-01-01",
        points=planned_points(session.points), arrays=(),
    )  # fmt: skip
    path = folder / "manifest.json"
    write_manifest(path, manifest)
    assert read_manifest(path).planned() == session.points


def test_plan_run_and_status_go_round(folder):
    study_of(folder, STUDY)
    arguments = ["study.toml", "--results", "out", "--emulate", "2"]
    ended = harness("run", *arguments, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert "3 launches run; 3 points: 3 done" in ended.stdout
    told = harness("status", *arguments, cwd=folder).stdout
    assert told.count("emulated") == 2
    states = (folder / "out" / "sleepy.points.csv").read_text().splitlines()
    assert sum(",emulated," in line for line in states) == 2
    assert "0 launches run" in harness("run", *arguments, cwd=folder).stdout
    plain = harness("plan", "study.toml", "--results", "out", cwd=folder).stdout
    assert "1 points, 0 launches missing" in plain


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--emulate", "abc"], "Invalid value for '--emulate': 'abc'"),
        (["--emulate", "0"], "Invalid value for '--emulate': 0"),
        (["--emulate", "2", "--set", "mode=raises"], "study.toml:12: the workload refuses: there "
         "is no bed"),
        (["--emulate", "2000"], "2000 is beyond the study's limit of 1024"),
    ],
)  # fmt: skip
def test_bad_input_is_told_of_in_a_sentence(folder, arguments, sentence):
    study_of(folder, STUDY)
    ended = harness("plan", "study.toml", "--results", "out", *arguments, cwd=folder)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_study_without_emulation_refuses_to_be_emulated(folder):
    with pytest.raises(UserError, match=r"--emulate 4: .*expected a table \[emulation\]"):
        expand(study_of(folder, "[parameters]\nmode = 'good'\n", None, "measure.emulate=4"))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ('[emulation]\nworkload = "nothing"\n', 'expected "module:Class"'),
        ("[emulation]\n[emulation.parameters]\na = 1\n", "'workload' is missing"),
        ('[emulation]\nworkload = "a:B"\nspeed = 3\n', "unknown key; expected one of parameters"),
        ("[parameters]\nemulate = 3\n", "is the harness's in expressions"),
    ],
)
def test_a_wrong_emulation_is_told_of_with_its_line(folder, wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        study_of(folder, wrong)
