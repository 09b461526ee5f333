from __future__ import annotations

import os

import pytest

from harness import machine
from harness.errors import UserError
from harness.job import Job, current_job
from harness.launch import launcher as module
from harness.launch.launcher import BINDING, THREAD_VARIABLES, Launcher, find_launcher

MPICH = Launcher("mpiexec", "/opt/mpiexec", "MPICH Version: 4.2", "mpich")
OPEN_MPI = Launcher("mpiexec", "/opt/mpiexec", "Open MPI v5.0", "openmpi")
SRUN = Launcher("srun", "/opt/srun", "MPICH Version: 4.2", "mpich", "pmi2")
PROGRAM = ["python", "-m", "harness.launch.worker", "SPEC"]


@pytest.fixture
def four_cores(monkeypatch):
    """Two sockets of two cores with two hardware threads each; no allocation."""
    for name in ("SLURM_CPUS_ON_NODE", "SLURM_JOB_NUM_NODES"):
        monkeypatch.delenv(name, raising=False)
    cores = tuple(machine.Core(cpu // 2, cpu, (cpu, cpu + 4)) for cpu in range(4))
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "cgroup_core_limit", lambda: None)


@pytest.fixture
def search(monkeypatch):
    """A launcher is looked for anew, and no Slurm job is around."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    find_launcher.cache_clear()
    yield monkeypatch
    find_launcher.cache_clear()


def test_mpich_command():
    assert MPICH.command(3, 2, PROGRAM) == ["/opt/mpiexec", "-n", "3", *PROGRAM]


@pytest.mark.parametrize(("user", "root"), [(0, ["--allow-run-as-root"]), (1000, [])])
def test_open_mpi_command(monkeypatch, user, root):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert OPEN_MPI.command(3, 2, PROGRAM) == [
        "/opt/mpiexec", "-n", "3", "--bind-to", "none", "--oversubscribe", *root, *PROGRAM,
    ]  # fmt: skip


BOUND = ["--threads-per-core=1", "--cpu-bind=cores", "--distribution=block:block"]


@pytest.mark.parametrize(
    ("allocated", "processes", "asked", "nodes", "bound", "more"),
    [
        (1, 2, 0, 1, BOUND, []),
        (1, 3, 0, 1, ["--cpu-bind=none", "--overcommit"], []),
        (3, 2, 0, 1, BOUND, []),
        (3, 3, 0, 2, BOUND, []),
        (3, 3, 3, 3, BOUND, ["--ntasks-per-node=1"]),
        (2, 3, 2, 2, BOUND, ["--ntasks-per-node=2"]),
    ],
)
def test_srun_command(four_cores, monkeypatch, allocated, processes, asked, nodes, bound, more):
    """As few nodes as have a core for each thread, or as many as the point asks for."""
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", str(allocated))
    assert SRUN.command(processes, 2, PROGRAM, asked) == [
        "/opt/srun", f"--nodes={nodes}", f"--ntasks={processes}", "--cpus-per-task=2",
        "--mpi=pmi2", *bound, *more, "--kill-on-bad-exit=1", "--unbuffered", *PROGRAM,
    ]  # fmt: skip


def test_mpiexec_over_nodes():
    assert MPICH.command(3, 1, PROGRAM, 2) == ["/opt/mpiexec", "-n", "3", "-ppn", "2", *PROGRAM]
    assert "--map-by ppr:2:node" in " ".join(OPEN_MPI.command(3, 1, PROGRAM, 2))


def test_allocation_limits_cores_by_hardware_threads(four_cores, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4")  # of two cores with two threads each
    assert machine.machine_cores() == 2
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "99")
    assert machine.machine_cores() == 4


def test_planning_for_another_machine(four_cores):
    with machine.planned_for(28):
        assert machine.machine_cores() == 28
    assert machine.machine_cores() == 4


@pytest.mark.parametrize("launcher", [MPICH, OPEN_MPI, SRUN])
def test_every_thread_pool_is_told_its_size(launcher):
    variables = launcher.variables(1, 3)
    assert {variables[name] for name in THREAD_VARIABLES} == {"3"}


@pytest.mark.parametrize(
    ("launcher", "processes", "threads", "binding"),
    [
        (MPICH, 4, 1, "0;1;2;3"),
        (MPICH, 2, 2, "0,1;2,3"),
        (OPEN_MPI, 1, 4, "0,1,2,3"),
        (MPICH, 5, 1, ""),
        (MPICH, 3, 2, ""),
        (SRUN, 4, 1, ""),
    ],
)
def test_binding_is_a_core_for_each_thread_or_empty(
    four_cores, launcher, processes, threads, binding
):
    """Empty and not absent: a run inside another run must not inherit its binding."""
    assert launcher.variables(processes, threads)[BINDING] == binding


def test_control_group_limits_cores_and_bindings(four_cores, monkeypatch):
    monkeypatch.setattr(machine, "cgroup_core_limit", lambda: 2.5)
    assert machine.machine_cores() == 2
    assert machine.bindings(2, 1) == [[0], [1]]
    assert machine.bindings(3, 1) is None
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "4")
    assert machine.machine_cores() == 8


def test_mpiexec_of_our_own_environment(search):
    found = find_launcher()
    assert found.kind == "mpiexec"
    assert os.access(found.path, os.X_OK)
    assert found.flavour in ("mpich", "openmpi")
    assert found.library == " ".join(found.library.split())


def stub_srun(search, folder, text):
    srun = folder / "srun"
    srun.write_text(f"#!/bin/sh\n{text}\n")
    srun.chmod(0o755)
    search.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    search.setenv("SLURM_JOB_ID", "7")
    return str(srun)


LIST = 'test "$1" = --mpi=list && printf "MPI plugin types are...\\n\\tnone\\n%s" "{}" >&2'


@pytest.mark.parametrize(
    ("library", "offered", "plugin"),
    [
        ("MPICH Version: 4.2", "\tpmix\n\tpmi2\n", "pmi2"),
        ("MPICH Version: 4.2", "\tcray_shasta\n\tpmix\n", "pmix"),
        ("Open MPI v5.0.5", "\tpmix\n\tpmi2\n\tpmix_v4\n", "pmix"),
        ("Open MPI v5.0.5", "\tpmi2\n", "pmi2"),
    ],
)
def test_srun_inside_an_allocation(search, tmp_path, library, offered, plugin):
    path = stub_srun(search, tmp_path, LIST.format(offered))
    search.setattr(module, "_mpi_library", lambda: library)
    found = find_launcher()
    assert (found.kind, found.path, found.mpi_plugin) == ("srun", path, plugin)


@pytest.mark.parametrize("text", [LIST.format("\tpmi1\n"), "exit 1", "echo srun: error; exit 2"])
def test_srun_that_cannot_start_our_library_is_passed_over(search, tmp_path, text):
    stub_srun(search, tmp_path, text)
    assert find_launcher().kind == "mpiexec"


@pytest.mark.parametrize(("wish", "kind"), [("mpiexec", "mpiexec"), ("cray_shasta", "srun")])
def test_launcher_that_the_site_names(search, tmp_path, wish, kind):
    stub_srun(search, tmp_path, LIST.format("\tpmi2\n"))
    search.setenv("HARNESS_MPI", wish)
    found = find_launcher()
    assert (found.kind, found.mpi_plugin) == (kind, wish if kind == "srun" else "")


def test_srun_outside_an_allocation_is_passed_over(search, tmp_path):
    stub_srun(search, tmp_path, LIST.format("\tpmi2\n"))
    search.delenv("SLURM_JOB_ID")
    assert find_launcher().kind == "mpiexec"


def test_without_any_launcher(search, tmp_path):
    search.setenv("PATH", str(tmp_path))
    search.setattr(module.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match="no mpiexec was found beside Python or on PATH"):
        find_launcher()


@pytest.mark.parametrize(
    ("nodes", "cpus", "cores"), [("", "", 4), ("2", "", 8), ("", "2(x2)", 1), ("2", "4(x2),2", 4)]
)
def test_variables_of_slurm_may_be_empty_or_lists(four_cores, monkeypatch, nodes, cpus, cores):
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", nodes)
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", cpus)
    assert machine.machine_cores() == cores


def test_job_whose_variables_are_empty(monkeypatch):
    for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_MAX", "SLURM_RESTART_COUNT"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    job = current_job()
    assert job._replace(facts={}) == Job("slurm", "7", None, 1, 0, facts={})
    assert (job.facts["SLURM_JOB_ID"], job.facts["SLURM_RESTART_COUNT"]) == ("7", "")
    monkeypatch.setenv("SLURM_JOB_ID", "")
    assert current_job() is None


def test_variable_of_slurm_that_is_no_number(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "many")
    with pytest.raises(UserError, match="SLURM_JOB_NUM_NODES=many: expected a number"):
        machine.node_count()
