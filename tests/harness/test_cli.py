from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import COMMANDS as TABLE
from harness.cli import main
from harness.launch import segments
from harness.tables.records import launches_folder, write_record
from harness.tables.table import rows_path
from tests.harness.studies import environment, harness, record, write_study

COMMANDS = ["plan", "run", "submit", "jobs", "collect", "status", "compare", "self-check",
            "doctor"]  # fmt: skip
STUDY = "[parameters]\nmode = '[/red] :smile:'\n[sweep.product]\nprocesses = [1, 2]\n"


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)])
def test_help_teaches(command):
    result = call(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output
    assert len(result.output.splitlines()) > 5


def test_table_of_commands_names_them_and_loads_none():
    assert list(TABLE) == COMMANDS
    assert {name: main.get_command(None, name).name for name in TABLE} == {n: n for n in TABLE}
    code = "import harness.cli, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "harness.cli" in loaded
    assert not {"pydantic", "rich", "psutil", "mpi4py", "harness.commands"}.intersection(loaded)


def test_memory_that_is_lacking_is_a_sentence(tmp_path, monkeypatch):
    def lacking(*_):
        raise MemoryError

    monkeypatch.setattr("harness.run.session.expand", lacking)
    result = call("plan", write_study(tmp_path, STUDY))
    assert result.exit_code == 2
    assert result.stderr.startswith("error: no memory is left")


def test_plan_for_programs(tmp_path):
    study = write_study(tmp_path, STUDY)
    result = harness("plan", study, "--json", "--set", "measure.launches=3", cwd=tmp_path)
    assert result.returncode == 0
    plan = json.loads(result.stdout)
    assert (plan["study"], plan["preset"]) == ("sleepy", "")
    assert [point["parameters"]["processes"] for point in plan["points"]] == [1, 2]
    assert [point["launches_missing"] for point in plan["points"]] == [3, 3]
    assert [point["state"] for point in plan["points"]] == ["missing", "missing"]
    assert plan["points"][1]["command"][-3:] == ["-m", "harness.launch.worker", "SPEC"]
    assert not (tmp_path / "results").exists()


def test_status_for_programs(tmp_path):
    results = tmp_path / "results"
    text = STUDY.replace("mode = '[/red] :smile:'", "mode = 'good'\nlimit = inf")
    study = write_study(tmp_path, f"{text}[measure]\nlaunches = 2\nrepetitions = 1\n")
    point = json.loads(call("plan", study, "--json", "--results", results).stdout)
    folder = launches_folder(results, "sleepy")
    for launch, changes in (("1", {}), ("2", {"status": "failed", "message": "no bed"})):
        repetitions = {} if not changes else {"repetitions": []}
        write_record(folder, record(
            f"20260101T000000-0000000{launch}", point=point["points"][0]["point"],
            environment=point["environment"], **changes, **repetitions,
        ))  # fmt: skip
    told = json.loads(call("status", study, "--json", "--results", results).stdout)
    assert told["environment"] == point["environment"]
    assert (told["submissions"], told["launches_awaited"], told["throughput"]) == ([], 0, None)
    first, second = told["points"]
    assert first["parameters"]["limit"] == "inf"
    assert (first["state"], first["launches"], first["launches_missing"]) == ("failed", 1, 1)
    assert first["seconds"] == {"median": 0.5, "low": None, "high": None}
    assert [failure["message"] for failure in first["failures"]] == ["no bed"]
    assert (second["state"], second["seconds"], second["failures"]) == ("missing", None, [])


@pytest.mark.parametrize("command", ["plan", "status"])
def test_brackets_and_colons_of_a_study_are_no_markup(tmp_path, command):
    study = write_study(tmp_path, STUDY.replace("processes = [1, 2]", "mode = ['[/red]', ':x:']"))
    result = call(command, study, "--results", tmp_path / "r")
    assert (result.exit_code, result.exception) == (0, None)
    assert "[/red]" in result.output
    assert ":x:" in result.output


def test_status_and_collect_before_anything_ran(tmp_path):
    study = write_study(tmp_path, STUDY)
    assert "missing" in call("status", study, "--results", tmp_path / "r").output
    assert "0 rows, 0 of them new" in call("collect", study, "--results", tmp_path / "r").output


def unusable(tmp_path, kind):
    path = write_study(tmp_path, STUDY)
    results = tmp_path / "results"
    if kind == "absent study":
        path = tmp_path / "absent.toml"
    elif kind == "folder as study":
        path = tmp_path
    elif kind == "binary study":
        path.write_bytes(bytes(range(256)))
    elif kind == "file as results":
        results.write_text("")
    elif kind == "results below a file":
        results = path / "results"
    elif kind == "results that nobody can make":
        results = "/proc/nowhere"
    elif kind == "file among the results":
        results.mkdir()
        (results / "launches").write_text("")
    elif kind == "folder as table":
        launches_folder(results, "sleepy").mkdir(parents=True)
        write_record(launches_folder(results, "sleepy"), record())
        rows_path(results, "sleepy").mkdir()
    return path, results


@pytest.mark.parametrize("kind", [
    "absent study", "folder as study", "binary study", "file as results", "results below a file",
    "results that nobody can make", "file among the results", "folder as table",
])  # fmt: skip
def test_what_cannot_be_used_is_a_sentence_and_code_2(tmp_path, kind):
    path, results = unusable(tmp_path, kind)
    result = call("collect", path, "--results", results)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.strip()
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["unknown"],
        ["plan"],
        ["status"],
        ["submit"],
        ["run", "--manifest", "x"],
        ["run", "--manifest", "absent/a/b/c/manifest.json", "--index", 0],
        ["plan", "x.toml", "--unknown"],
        ["run", "x.toml", "--index", "one"],
        ["run", "x.toml", "--preset"],
        ["run", "x.toml", "--results", ""],
        ["compare", "x.csv"],
    ],
)
def test_wrong_command_lines_end_with_code_2(arguments):
    assert call(*arguments).exit_code == 2


def test_results_without_a_name_are_refused(tmp_path):
    result = call("plan", write_study(tmp_path, STUDY), "--results", "")
    assert result.exit_code == 2
    assert "'--results': the name is empty; expected that of a folder" in result.stderr


def test_interruption_before_anything_has_begun_is_no_traceback(tmp_path):
    interrupting = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / "click.py").write_text(interrupting)
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-m", "harness", "plan", "study.toml"], capture_output=True, check=False,
        env=environment(PYTHONPATH=paths.rstrip(os.pathsep)), timeout=60,
        # What a shell without job control starts in the background ignores SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (-signal.SIGINT, b"")


@pytest.mark.parametrize("variable", ["SLURM_JOB_NUM_NODES", "SLURM_CPUS_ON_NODE"])
def test_variable_that_slurm_would_not_set_is_a_sentence(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "y")
    for arguments in (["plan", write_study(tmp_path, STUDY)], ["doctor"]):
        result = call(*arguments)
        assert result.exit_code == 2
        assert f"error: {variable}=y: expected a number, as Slurm sets it" in result.stderr


def test_unknown_preset_on_the_real_command_line(tmp_path):
    study = write_study(tmp_path, STUDY + "[presets.small]\n")
    result = harness("plan", study, "--preset", "huge", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: {study}: there is no preset 'huge'; this study's presets are: small\n"
    )


def test_a_failure_names_its_log_as_one_opens_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = '[command]\nrun = "false"\nlauncher = false\n[measure]\nlaunches = 1\n'
    Path("s.toml").write_text(f'name = "s"\n{text}')
    told = call("run", "s.toml", "--results", "mine")
    named = re.search(r"^failed: p\w+: .*; log: (\S+)$", told.stderr, re.M)[1]
    assert Path(named).parts[:2] == ("mine", "logs")
    assert Path(named).is_file()
    assert f"; log: {named}\n" in call("status", "s.toml", "--results", "mine").output


def test_submit_takes_its_former_spelling(tmp_path):
    study = write_study(tmp_path, STUDY)
    for spelling in ("--retry", "--resubmit"):
        dry = call("submit", study, spelling, "--dry-run", "--results", tmp_path / "r")
        assert "2 points by" in dry.output, dry.output
    assert "--resubmit" not in call("submit", "--help").output


@pytest.mark.ranks
def test_doctor_starts_two_ranks():
    result = call("doctor")
    assert result.exit_code == 0
    assert "ok     two ranks: started and reduced" in result.output


@pytest.mark.ranks
def test_memory_that_mpi_lacks_is_told_before_anything_is_launched(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "_BYTES_A_RANK", 2**60)
    assert "fault  shared memory: /dev/shm has " in call("doctor").output
    study = write_study(tmp_path, "[parameters]\nmode = 'good'\n")
    result = call("run", study, "--results", tmp_path / "r")
    assert result.exit_code == 2
    assert "and MPICH needs 1099511627776.0 MiB for 1 processes, which would" in result.stderr
    assert not list((tmp_path / "r").glob("launches/sleepy/*.json"))


def test_full_standard_output_is_told_by_its_name(tmp_path):
    study = write_study(tmp_path, STUDY)
    words = shlex.join([sys.executable, "-m", "harness", "plan", str(study)])
    result = subprocess.run(
        f"{words} >/dev/full", shell=True, cwd=tmp_path, capture_output=True, text=True,
        check=False, env=environment(),
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr == (
        "error: standard output: cannot be read or written: No space left on device\n"
    )


def test_plan_for_programs_is_json_also_without_end(tmp_path):
    study = write_study(tmp_path, "[parameters]\na = inf\nb = nan\nc = -inf\nd = 0.5\n")
    result = call("plan", study, "--json", "--results", tmp_path / "r")

    def none(constant):
        raise AssertionError(f"{constant} is no JSON")

    (point,) = json.loads(result.output, parse_constant=none)["points"]
    assert [point["parameters"][name] for name in "abcd"] == ["inf", "nan", "-inf", 0.5]


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_closed_streams_are_as_the_null_device(tmp_path, command, closed):
    study = write_study(tmp_path, "[parameters]\nmode = 'good'\n[measure]\nlaunches = 1\n")
    words = shlex.join([sys.executable, "-m", "harness", command, str(study), "--results", "r"])
    result = subprocess.run(
        f"{words} {closed}", shell=True, cwd=tmp_path, capture_output=True, text=True, check=False,
        env=environment(),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert len(list((tmp_path / "r").glob("*.csv"))) == (3 if command == "run" else 0)
