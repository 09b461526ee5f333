"""Submitted, run by Slurm with real MPI ranks, collected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.arrays import MEASURE, Folder, ended, naps, slurm, wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("cluster")]

NETWORK = Path(__file__).parents[2] / "experiments" / "network.toml"
HARNESS = (sys.executable, "-m", "harness")
CORES = min(2, len(os.sched_getaffinity(0)))


def test_replicates_from_submission_to_table(tmp_path):
    """Spaces in paths; each replicate on one node; the collection follows by itself."""
    study = naps(tmp_path / "my studies", f"""
        [sweep.product]
        processes = {list(range(1, CORES + 1))}
    """ + MEASURE.replace("launches = 1", "launches = 2"))  # fmt: skip
    dry = study.harness("submit", "--dry-run")
    assert dry.returncode == 0
    assert "#SBATCH --array=0-1" in dry.stdout
    assert not study.results.exists()
    jobs = study.submit()
    assert "nothing to submit" in study.harness("submit").stdout
    assert wait_for(lambda: ended(jobs["collect"]))
    rows = study.rows()
    assert len(rows) == 2 * CORES * 3
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["source"] for row in rows} == {"measured"}
    assert study.states() == ["done"] * CORES
    hosts = {(rank["launch"], rank["host"]) for rank in study.ranks()}
    assert len(hosts) == 2 * CORES, "all ranks of a launch are on one node"
    assert {host for _, host in hosts} <= {"one", "two"}
    bound = {rank["cpus"] for rank in study.ranks()}
    assert bound == {str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:CORES]}
    (environment,) = json.loads((study.results / "naps.environment.json").read_text()).values()
    assert environment["fingerprint"]["mpi"]["launcher"] == "srun"
    schedulers = [session["scheduler"] for session in environment["sessions"]]
    assert {s["name"] for s in schedulers} == {"slurm"}
    assert {s["SLURM_ARRAY_JOB_ID"] for s in schedulers} == {jobs["0"]}
    assert sorted(s["SLURM_ARRAY_TASK_ID"] for s in schedulers) == ["0", "1"]
    status = study.status()
    assert "2 tasks: 2 completed" in status
    assert "awaited" not in status
    header = study.results.joinpath("naps.csv").read_text().splitlines()[0]
    local = subprocess.run(
        [*HARNESS, "run", str(study.study), "--results", str(tmp_path / "l")],
        cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert local.returncode == 0
    assert (tmp_path / "l" / "naps.csv").read_text().splitlines()[0] == header


def test_points_are_packed_and_throttled(tmp_path):
    site = tmp_path / "site.toml"
    site.write_text("throttle = 1\nexclusive = false\nsetup = ['export NAPS=yes']\n")
    study = naps(tmp_path / "s", f"[sweep.product]\nx = {list(range(7))}\n" + MEASURE)
    jobs = study.submit("--by", "points", "--pack", 3, "--site", site)
    assert sorted(jobs) == ["0", "collect"]
    assert "ArrayTaskThrottle=1" in slurm("scontrol", "show", "job", jobs["0"])
    assert wait_for(lambda: ended(jobs["collect"]))
    assert study.states() == ["done"] * 7
    assert len(list(study.results.glob("launches/naps/session-*.json"))) == 3, "three tasks"
    assert len(study.rows()) == 7 * 3


def test_ranks_on_two_nodes(tmp_path):
    """A core of each node for two ranks, and all cores of both nodes."""
    study = naps(tmp_path, f"""
        [sweep.zip]
        processes = [2, {2 * len(os.sched_getaffinity(0))}]
        nodes = [2, 0]
    """ + MEASURE)  # fmt: skip
    jobs = study.submit("--by", "points")
    assert wait_for(lambda: ended(jobs["collect"]))
    rows, ranks = study.rows(), study.ranks()
    assert {row["status"] for row in rows} == {"ok"}, rows[-1]["message"]
    for launch in {row["launch"] for row in rows}:
        assert {rank["host"] for rank in ranks if rank["launch"] == launch} == {"one", "two"}


def test_network_between_two_nodes(tmp_path):
    """The study of the network, with its ends on one node and on two."""
    network = Folder(NETWORK, tmp_path / "results")
    jobs = network.submit(
        "--preset", "smoke", "--set", "nodes=[1, 2]", "--by", "points", "--pack", "2"
    )
    assert wait_for(lambda: ended(jobs["collect"]))
    rows = network.rows()
    assert {row["status"] for row in rows} == {"ok"}, rows[-1]["message"]
    assert all(float(row["message_seconds"]) > 0 for row in rows)
    nodes = {row["launch"]: int(row["nodes"]) for row in rows}
    for launch, number in nodes.items():
        hosts = {rank["host"] for rank in network.ranks() if rank["launch"] == launch}
        assert len(hosts) == number


def test_mpiexec_inside_an_allocation(tmp_path):
    site = tmp_path / "site.toml"
    site.write_text("mpi = 'mpiexec'\n")
    study = naps(tmp_path / "s", "processes = 2\n" + MEASURE)
    jobs = study.submit("--site", site)
    assert wait_for(lambda: ended(jobs["collect"]))
    assert study.states() == ["done"]
    (environment,) = json.loads((study.results / "naps.environment.json").read_text()).values()
    assert environment["fingerprint"]["mpi"]["launcher"] == "mpiexec"


def test_what_slurm_refuses_is_told_in_a_sentence(tmp_path):
    site = tmp_path / "site.toml"
    site.write_text('partition = "absent"\ncores_per_node = 1\n')
    study = naps(tmp_path / "s", MEASURE)
    result = study.harness("submit", "--site", site)
    assert result.returncode == 2
    assert "sbatch refuses array-0.sbatch" in result.stderr
    assert "invalid partition" in result.stderr
    assert "Traceback" not in result.stderr
    assert "nothing" not in study.harness("submit", "--dry-run").stdout


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a 'b' #c $d `e` 50%A"])
def test_any_name_of_a_folder_and_any_text_of_an_option(tmp_path, name):
    """As Slurm itself reads them: job arrays, their logs, the collection, a comment."""
    study = naps(tmp_path / name, "[sweep.product]\nx = [1, 2]\n" + MEASURE)
    comment = name.replace("\n", " ")
    site = tmp_path / "site.toml"
    site.write_text(f"options = [{json.dumps(f'--comment={comment}')}]\n")
    jobs = study.submit("--site", site)
    assert wait_for(lambda: ended(jobs["collect"]))
    assert study.states() == ["done"] * 2
    logs = {path.name for path in study.results.glob("submissions/naps/*/logs/*")}
    assert logs == {f"collect-{jobs['collect']}.log", f"naps-{jobs['0']}_0.log"}
    assert f"Comment={comment} \n" in slurm("scontrol", "show", "job", jobs["collect"])
