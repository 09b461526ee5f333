"""Manifests, notes, leftovers of dead jobs, and the states of tasks where Slurm tells nothing."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from harness.errors import UserError
from harness.files import append_line
from harness.job import Job
from harness.launch.interruption import TimeLimit
from harness.launch.recovery import FINISHED, RUNNING, Verdict, begin, ended, recover
from harness.run.schedule import PointState
from harness.slurm.queue import JobState
from harness.study.points import expand
from harness.study.values import Measure
from harness.submission.dead import verdict
from harness.submission.manifest import (
    Array,
    Manifest,
    Shape,
    folder_of,
    manifest_path,
    planned_points,
    read_manifest,
    read_manifests,
    task_of,
    write_manifest,
)
from harness.submission.notes import noting, read_notes
from harness.submission.status import Queue, print_submissions
from harness.submission.submissions import in_flight, read_submissions, write_jobs
from harness.tables.records import launches_folder, write_record
from tests.harness.studies import harness, record, rows_of_table, study_of, write_study

STUDY = """
[parameters]
mode = 'good'
[sweep.product]
x = [1, 2]
[measure]
launches = 2
warmups = 0
"""
SHAPE = Shape(nodes=1, processes=1, threads_per_process=1, seconds=60)


def submitted(tmp_path, by="replicates", tasks=((0, 1), (0, 1)), **changes):
    study = study_of(tmp_path, STUDY)
    fields = {
        "submission": "s1", "study": "sleepy", "preset": "", "overrides": (),
        "study_file": tmp_path / "study.toml", "study_text": study.source.text,
        "working_folder": tmp_path, "by": by, "code": "c", "created_at": "2026-01-01T00:00:00Z",
        "points": planned_points(expand(study)),
        "arrays": (Array(shape=SHAPE, tasks=tuple(tasks)),),
    }  # fmt: skip
    manifest = Manifest(**{**fields, **changes})
    results = tmp_path / "results"
    path = manifest_path(results, "sleepy", manifest.submission)
    return results, path, write_manifest(path, manifest)


def test_a_manifest_is_written_once(tmp_path):
    results, path, first = submitted(tmp_path)
    assert path.stat().st_mode & 0o222 == 0
    _, _, second = submitted(tmp_path, by="points")
    assert second == first == read_manifest(path)
    assert read_manifests(results, "sleepy") == [first]
    assert sorted(p.name for p in path.parent.iterdir()) == ["manifest.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema_version": 99}', '{"schema_version": 1}']
)
def test_what_is_no_manifest(tmp_path, text, caplog):
    path = manifest_path(tmp_path, "sleepy", "s1")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json: "):
        read_manifest(path)
    assert read_manifests(tmp_path, "sleepy") == []
    assert "left out" in caplog.text


def test_tasks_that_are_not_there(tmp_path):
    _, path, manifest = submitted(tmp_path)
    assert task_of(path, manifest, 0, 1).name == "0.1"
    for array, index, told in ((0, 2, "--index 2: .* expected 0 to 1"), (0, -1, "--index -1"),
                               (1, 0, "--array 1: .* expected 0 to 0")):  # fmt: skip
        with pytest.raises(UserError, match=told):
            task_of(path, manifest, array, index)


def test_a_task_runs_its_points_as_they_were_submitted(tmp_path):
    """Outside of Slurm, too; the study's file has changed since, tables come with `collect`."""
    results, path, _ = submitted(tmp_path)
    write_study(tmp_path, "[parameters]\nmode = 'crashes'\n")
    arguments = ("run", "--manifest", path, "--index")
    first = harness(*arguments, 0, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "2 launches run; 2 points: 2 done" in first.stdout
    assert "the workload's code has changed since the submission" in first.stderr
    again = harness(*arguments, 0, cwd=tmp_path)
    assert "0 launches run; 2 points: 2 done" in again.stdout, "a task begun again goes on"
    second = harness(*arguments, 1, cwd=tmp_path)
    assert "2 launches run" in second.stdout, "a replicate is its own, whatever others did"
    assert not list(results.glob("*.csv"))
    collected = harness("collect", "--manifest", path, cwd=tmp_path)
    assert "4 rows, 4 of them new" in collected.stdout
    assert sorted(row["x"] for row in rows_of_table(results)) == ["1", "1", "2", "2"]
    missing = harness(*arguments, 2, cwd=tmp_path)
    assert missing.returncode == 2
    assert "--index 2: there is no such task; expected 0 to 1" in missing.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--by", "replicates"], "expected --index and a task of a Slurm job array"),
        (["--manifest", "MANIFEST"], "expected --index with it"),
    ],
)
def test_run_that_misses_something(tmp_path, arguments, told):
    _, path, _ = submitted(tmp_path)
    words = [path if word == "MANIFEST" else word for word in arguments]
    study = [] if "--manifest" in arguments else [tmp_path / "study.toml"]
    result = harness("run", *study, *words, cwd=tmp_path)
    assert result.returncode == 2
    assert told in result.stderr


def test_replicates_of_a_plain_array(tmp_path):
    """The first task to come fixes the list for the others."""
    study = write_study(tmp_path, STUDY)
    slurm = {"SLURM_JOB_ID": "8", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_MAX": "1"}

    def task(index):
        return harness("run", study, "--by", "replicates", "--index", index, cwd=tmp_path,
                       HARNESS_MPI="mpiexec", **slurm)  # fmt: skip

    assert "2 launches run" in task(0).stdout
    write_study(tmp_path, STUDY.replace("[1, 2]", "[1, 2, 3]"))
    assert "2 launches run" in task(1).stdout
    outside = task(2)
    assert outside.returncode == 2
    assert "expected 0 to 1" in outside.stderr


def test_points_of_a_plain_array(tmp_path):
    """A failed point is launched again only with --retry, as everywhere."""
    study = write_study(tmp_path, STUDY.replace("x = [1, 2]", "mode = ['good', 'raises']"))

    def task(array, index, *more):
        return harness("run", study, "--index", index, *more, "--set", "measure.repetitions=3",
                       cwd=tmp_path, HARNESS_MPI="mpiexec", SLURM_JOB_ID=f"{array}{index}",
                       SLURM_ARRAY_JOB_ID=f"{array}", SLURM_ARRAY_TASK_MAX="1")  # fmt: skip

    assert "2 launches run; 1 point: 1 done" in task(7, 0).stdout
    assert "1 launch run; 1 point: 1 failed" in task(7, 1).stdout
    assert not list((tmp_path / "results").glob("*.csv"))
    assert "0 launches run; 1 point: 1 done" in task(8, 0).stdout
    assert "0 launches run; 1 point: 1 failed" in task(8, 1).stdout
    assert "1 launch run; 1 point: 1 failed" in task(9, 1, "--retry").stdout


def leftover(results):
    """A launch that ran in job 5 and has finished its repetitions."""
    begun = replace(record(), status="failed", repetitions=[])
    owner = launches_folder(results, "sleepy") / RUNNING / "slurm-5"
    folder = owner / f"{begun.point}-{begun.launch}"
    folder.mkdir(parents=True)
    begin(folder, begun)
    for repetition in record().repetitions:
        append_line(folder / FINISHED, json.dumps(repetition))
    return owner, begun


def test_leftovers_become_launch_files_once(tmp_path):
    owner, begun = leftover(tmp_path)
    assert recover(tmp_path, owner, Verdict("timeout", "out of time")) == 1
    (path,) = launches_folder(tmp_path, "sleepy").glob("*.json")
    told = json.loads(path.read_text())
    assert (told["status"], told["interrupted"]) == ("timeout", False)
    assert told["message"].startswith("out of time; log: logs/sleepy/")
    assert told["repetitions"] == record().repetitions
    assert not owner.exists()
    leftover(tmp_path)
    assert recover(tmp_path, owner, Verdict("failed", "again")) == 0, "it is written already"
    assert json.loads(path.read_text()) == told
    assert not owner.exists()
    assert begun.launch in path.name


def test_leftovers_are_recovered_by_one_at_a_time(tmp_path, monkeypatch):
    """A second collector waits, and does not read what the first one is removing."""
    owner, _ = leftover(tmp_path)
    begun, may_end, results = threading.Event(), threading.Event(), []

    def slow_ended(*arguments):
        begun.set()
        assert may_end.wait(60)
        return ended(*arguments)

    def collect(words):
        results.append(recover(tmp_path, owner, Verdict("failed", words)))

    monkeypatch.setattr("harness.launch.recovery.ended", slow_ended)
    first, second = (threading.Thread(target=collect, args=(w,)) for w in ("first", "second"))
    first.start()
    assert begun.wait(60)
    second.start()
    second.join(0.2)
    assert second.is_alive()
    assert results == []
    may_end.set()
    first.join()
    second.join()
    assert results == [1, 0]
    (path,) = launches_folder(tmp_path, "sleepy").glob("*.json")
    told = json.loads(path.read_text())
    assert told["message"].startswith("first")
    assert told["repetitions"] == record().repetitions
    assert not owner.exists()


def test_a_repetition_that_was_being_written_is_none(tmp_path):
    owner, _ = leftover(tmp_path)
    (folder,) = owner.iterdir()
    with (folder / FINISHED).open("a") as file:
        file.write(json.dumps(record().repetitions[0])[:-5])
    assert recover(tmp_path, owner, Verdict("failed", "killed")) == 1
    (path,) = launches_folder(tmp_path, "sleepy").glob("*.json")
    assert json.loads(path.read_text())["repetitions"] == record().repetitions
    assert not owner.exists()


@pytest.mark.parametrize("content", ["3\n", "[1]\n", "{\n{}\n", "[" * 99_999 + "\n", "\xff\n"])
def test_leftover_that_is_damaged_is_told_and_left_alone(tmp_path, caplog, content):
    owner, _ = leftover(tmp_path)
    (folder,) = owner.iterdir()
    (folder / FINISHED).write_bytes(content.encode("latin-1"))
    assert recover(tmp_path, owner, Verdict("failed")) == 0
    assert f"{folder} is no running launch and is left alone" in caplog.text
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("state", "status", "interrupted"),
    [
        (None, "failed", True),
        (JobState("5_1", "TIMEOUT"), "timeout", False),
        (JobState("5_1", "NODE_FAIL", "", "n3"), "failed", True),
        (JobState("5_1", "PREEMPTED"), "failed", True),
        (JobState("5_1", "OUT_OF_MEMORY"), "failed", False),
    ],
)
def test_what_the_end_of_a_job_says_of_its_launch(state, status, interrupted):
    found = verdict("5", state)
    assert (found.status, found.interrupted) == (status, interrupted)


def test_interrupted_launches_are_no_failures_of_their_point(tmp_path):
    point = expand(study_of(tmp_path, STUDY))[0]
    state = PointState(point)
    state.add(record(status="failed", interrupted=True))
    assert state.state(Measure()) == "missing"
    state.add(record(status="timeout"))
    assert state.state(Measure()) == "failed"


JOB = Job("slurm", "12", "10", 2, 0)


def test_notes_tell_how_a_task_ended(tmp_path):
    _, path, manifest = submitted(tmp_path)
    folder = path.parent
    with noting(folder, task_of(path, manifest, 0, 0), JOB):
        assert read_notes(folder)["0.0"].ended == ""
    assert read_notes(folder)["0.0"].ended == "completed"
    with (
        pytest.raises(TimeLimit),
        noting(folder, task_of(path, manifest, 0, 0), JOB._replace(restarts=1)),
    ):
        raise TimeLimit
    notes = read_notes(folder)
    assert (notes["0.0"].job, notes["0.0"].ended) == ("12", "killed at the time limit of the job")
    (folder / "tasks" / "0.1.12-0.end.json").write_text("[")
    assert set(read_notes(folder)) == {"0.0"}


@pytest.fixture
def forgetful(monkeypatch):
    """A Slurm that answers and knows no job any more."""
    monkeypatch.setattr("harness.submission.submissions.query", lambda scheduler, jobs: {})


def test_states_of_tasks_that_slurm_has_forgotten(tmp_path, forgetful):
    results, path, manifest = submitted(tmp_path, tasks=((0,), (1,), (0, 1)))
    with noting(path.parent, task_of(path, manifest, 0, 0), JOB):
        pass
    (path.parent / "tasks" / "0.1.13-0.begin.json").write_text(
        '{"task": "0.1", "job": "13", "at": "2026"}'
    )
    (found,) = read_submissions(results, [manifest])
    assert [task.state for task in found.tasks] == ["completed", "vanished", "unknown"]
    assert not any(task.alive for task in found.tasks)
    assert found.folder == folder_of(results, manifest)


def test_tasks_that_failed_by_themselves_are_told_of(tmp_path, monkeypatch, capsys):
    """One fails for its point, which its row tells; one is killed; one does not even begin."""
    states = {f"9_{i}": JobState(f"9_{i}", "FAILED") for i in range(3)}
    monkeypatch.setattr("harness.submission.submissions.query", lambda scheduler, jobs: states)
    results, path, manifest = submitted(tmp_path, tasks=((0, 1),) * 3)
    write_jobs(path.parent, {"0": "9"})
    with noting(path.parent, task_of(path, manifest, 0, 0), JOB):
        pass
    begun = '{"task": "0.1", "job": "9", "at": "2026"}'
    (path.parent / "tasks" / "0.1.9-0.begin.json").write_text(begun)
    print_submissions(Queue(read_submissions(results, [manifest]), {}, 0))
    told = capsys.readouterr().out
    assert "task 0.0" not in told
    assert "failed: task 0.1 (job 9_1): it began and did not tell how it ended; log: " in told
    assert "failed: task 0.2 (job 9_2): it never began; log: " in told


def test_what_is_in_flight_is_not_asked_for_twice(tmp_path, monkeypatch):
    states = {f"9_{i}": JobState(f"9_{i}", "RUNNING" if i else "COMPLETED") for i in range(3)}
    monkeypatch.setattr("harness.submission.submissions.query", lambda scheduler, jobs: states)
    results, path, manifest = submitted(tmp_path, tasks=((0, 1),) * 3)
    write_jobs(path.parent, {"0": "9"})
    first, second = (point.id for point in manifest.points)
    delivered = [record(point=first, submission="s1", task="0.1")]
    found = read_submissions(results, [manifest])
    assert in_flight(found, delivered) == {first: 1, second: 2}
    interrupted = [replace(delivered[0], interrupted=True)]
    assert in_flight(found, interrupted) == {first: 2, second: 2}


def test_status_tells_of_submissions_without_slurm(tmp_path):
    results, path, manifest = submitted(tmp_path)
    write_record(
        launches_folder(results, "sleepy"), record(point=manifest.points[0].id, submission="s1")
    )
    write_jobs(path.parent, {"0": "10"})
    with pytest.raises(TimeLimit), noting(path.parent, task_of(path, manifest, 0, 0), JOB):
        raise TimeLimit
    told = harness("status", tmp_path / "study.toml", cwd=tmp_path, PATH="/nowhere").stdout
    assert "submission s1: by replicates, 2 tasks: 1 ended, 1 unknown" in told
    assert "no Slurm answers here" in told
    assert "ended: task 0.0 (job 10_0): killed at the time limit of the job; log: " in told


def test_parameters_without_end_survive_the_manifest(tmp_path):
    study = study_of(tmp_path, "[parameters]\na = inf\nb = nan\n")
    _, path, _ = submitted(tmp_path, points=planned_points(expand(study)))
    parameters = read_manifest(path).points[0].parameters
    assert (parameters["a"], str(parameters["b"])) == (float("inf"), "nan")
