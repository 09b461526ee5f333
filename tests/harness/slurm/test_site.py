"""A cluster's settings: read, refused, and written into scripts."""

from __future__ import annotations

import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.slurm.partition import Partition, partition_of
from harness.slurm.ready import write_site_blocks
from harness.slurm.script import array_script, quoted
from harness.slurm.site import Site, read_site, seconds_of
from harness.submission.manifest import Array, Manifest, Shape
from tests.harness.studies import harness, write_study

ROOT = Path(__file__).parents[3]
SHAPE = Shape(nodes=1, processes=1, threads_per_process=1, seconds=60)
STUDY = (
    "[parameters]\nmode = 'good'\n[sweep.product]\nprocesses = [1, 2]\n[measure]\nlaunches = 2\n"
)


def site(tmp_path, text):
    path = tmp_path / "site.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("partitoin = 'x'", "site.toml:1: 'partitoin': unknown key; expected one of partition,"),
        ("\nthrottle = -1", "site.toml:2: 'throttle': expected greater than or equal to 0"),
        ("time = 'soon'", "expected a time such as 30 (minutes), 12:00:00 or 1-12:00:00"),
        ("time = '0:30'", "expected a time of a minute or more, found '0:30'"),
        ("options = ['x']", "'options': expected options such as --reservation=ours, found 'x'"),
        ("modules = 'mpich'", "'modules': expected a list, found 'mpich'"),
        ("partition = 3", "'partition': expected a string, found 3"),
        ("account = 'a\\nb'".replace("'", '"'), "'account': expected a text in one line, found"),
        ("= 3", "this is not TOML"),
    ],
)  # fmt: skip
def test_faults_are_told_in_a_sentence(tmp_path, text, told):
    with pytest.raises(UserError) as error:
        read_site(site(tmp_path, text))
    assert told in str(error.value)


def test_absent_site_is_told_and_the_default_one_may_be_absent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_site(None) == Site()
    with pytest.raises(UserError, match="no such file"):
        read_site(Path("absent.toml"))


def test_the_committed_site_names_every_key_and_sets_none():
    """As examples behind a hash sign: whoever removes one has a valid file."""
    text = (ROOT / "jobs" / "site.toml").read_text()
    assert read_site(ROOT / "jobs" / "site.toml") == Site()
    examples = [line[2:] for line in text.splitlines() if line.startswith("# ") and " = " in line]
    named = {line.split(" = ")[0] for line in examples}
    assert named == set(Site.model_fields)


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--array=0-1%3", "--array=0-1%3"),
        ("--exclusive", "--exclusive"),
        ("--comment=a b#c", '--comment="a b#c"'),
        ('--comment=a"b', r'--comment="a\"b"'),
        ("--comment=a'b", '--comment="a\'b"'),
        ("--output=/c\\d/x", r'--output="/c\\d/x"'),
    ],
)
def test_options_as_sbatch_reads_them(option, line):
    assert quoted(option) == line
    assert shlex.split(quoted(option)) == [option]


@pytest.mark.parametrize(
    ("name", "output"),
    [("a b", '"{folder}/a b/logs/naps-%A_%a.log"'), ('a"b', '"{folder}/a\\"b/logs/naps-%A_%a.log"'),
     ("50%", "{folder}/50%%/logs/naps-%A_%a.log"), ("a\\b", "/dev/null"), ("a\nb", "/dev/null")],
)  # fmt: skip
def test_folder_of_logs_in_a_pattern_of_sbatch(tmp_path, name, output):
    fields = dict.fromkeys(("submission", "preset", "code", "created_at", "study_text"), "x")
    manifest = Manifest(
        study="naps", overrides=(), study_file=tmp_path, working_folder=tmp_path, by="points",
        points=(), arrays=(Array(shape=SHAPE, tasks=((0,),)),), **fields,
    )  # fmt: skip
    lines = array_script(manifest, 0, tmp_path / name, Site()).splitlines()
    assert f"#SBATCH --output={output.format(folder=tmp_path)}" in lines
    redirected = any(
        line.endswith('/"naps-${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}.log" 2>&1')
        for line in lines
    )
    assert redirected == (output == "/dev/null")


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("30", 1800), ("1:30", 90), ("2:00:00", 7200), ("1-0", 86400), ("1-12:30", 131400),
     ("2-01:02:03", 176523)],
)  # fmt: skip
def test_times_as_sbatch_reads_them(time, seconds):
    assert seconds_of(time) == seconds


SINFO = """\
batch*|2|14|1-00:00:00|100|broadwell,ib
batch*|2|16|1-00:00:00|20|haswell,ib
long|2|14|infinite|100|(null)
"""


@pytest.mark.parametrize(
    ("settings", "partition"),
    [
        ({}, Partition(28, 86400)),
        ({"constraint": "haswell"}, Partition(32, 86400)),
        ({"constraint": "haswell&ib"}, Partition(32, 86400)),
        ({"constraint": "[broadwell*2]"}, Partition(28, 86400)),
        ({"constraint": "skylake"}, None),
    ],
)
def test_nodes_of_a_partition(settings, partition):
    assert partition_of(SINFO, Site(**settings)) == partition


def test_dry_run_prints_what_the_site_says_and_writes_nothing(tmp_path):
    """Without Slurm, too: on a laptop, before the cluster is seen."""
    study = write_study(tmp_path / "my studies", STUDY)
    text = (
        'partition = "broadwell"\naccount = "ours"\nmemory = "64G"\nmail = "me@example.org"\n'
        'modules = ["python/3.11"]\nsetup = ["export X=1"]\ncores_per_node = 28\nthrottle = 3\n'
        'options = ["--reservation=a b"]\nmpi = "pmi2"\n'
    )
    result = harness(
        "submit", study, "--dry-run", "--site", site(tmp_path, text), "--then", "echo done",
        cwd=tmp_path, PATH="/nowhere",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "2 points by replicates: 1 arrays, 2 tasks, 4 launches, on nodes of 28" in result.stdout
    for line in (
        "#!/bin/bash -l", "#SBATCH --array=0-1%3", "#SBATCH --partition=broadwell",
        "#SBATCH --account=ours", "#SBATCH --mem=64G", "#SBATCH --mail-user=me@example.org",
        '#SBATCH --reservation="a b"', "#SBATCH --exclusive", "#SBATCH --requeue",
        "module load python/3.11 || exit 1", "export X=1", "export HARNESS_MPI=pmi2", "echo done",
    ):  # fmt: skip
        assert line in result.stdout.splitlines()
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--pack", "3"], "--pack: expected --by points with it"),
        (["--by", "points", "--replicates", "3"], "--replicates: expected --by replicates"),
        (["--time", "never"], "--time: expected a time such as"),
        (["--site", "absent.toml"], "absent.toml: no such file"),
        ([], "no sbatch on PATH; expected to be on a cluster"),
    ],
)
def test_submissions_that_cannot_be(tmp_path, arguments, told):
    study = write_study(tmp_path, STUDY)
    result = harness("submit", study, *arguments, cwd=tmp_path, PATH="/nowhere")
    assert result.returncode == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_ready_scripts_take_the_site(tmp_path):
    for path in (ROOT / "jobs").glob("*.sbatch"):
        (tmp_path / path.name).write_text(path.read_text())
    chosen = Site(partition="broadwell", account="ours", memory="64G", modules=["mpich"])
    written = list(write_site_blocks(tmp_path, chosen))
    assert len(written) >= 5
    for path, changed in written:
        assert changed
        lines = path.read_text().splitlines()
        begin, end = lines.index("# site: begin"), lines.index("# site: end")
        assert lines[begin + 1 : end] == [
            "#SBATCH --partition=broadwell", "#SBATCH --account=ours", "#SBATCH --mem=64G",
            "module load mpich || exit 1",
        ]  # fmt: skip
        first_command = next(i for i, line in enumerate(lines) if line and line[0] != "#")
        assert first_command > begin, "sbatch reads no option behind the first command"
        subprocess.run(["bash", "-n", path], check=True)
    assert not any(changed for _, changed in write_site_blocks(tmp_path, chosen))
    list(write_site_blocks(tmp_path, Site()))
    for path in (ROOT / "jobs").glob("*.sbatch"):
        assert (tmp_path / path.name).read_text() == path.read_text()


def test_scripts_without_a_block_are_told(tmp_path):
    with pytest.raises(UserError, match="expected the folder of the job scripts"):
        list(write_site_blocks(tmp_path, Site()))
    (tmp_path / "x.sbatch").write_text("#!/bin/bash\n")
    with pytest.raises(UserError, match="no lines '# site: begin'"):
        list(write_site_blocks(tmp_path, Site()))


SIGNALS = f"""
source {ROOT}/jobs/common.sh
pass_signals {sys.executable} -c '
import signal, time
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append("USR1"))
print("ready", flush=True)
while not got:
    time.sleep(0.01)
print(*got)
raise SystemExit(7)
'
echo code $?
"""


def test_ready_scripts_pass_signals_on():
    shell = subprocess.Popen(["bash", "-c", SIGNALS], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                             env={"PYTHON": sys.executable})  # fmt: skip
    assert shell.stdout is not None
    assert shell.stdout.readline() == "ready\n"
    shell.send_signal(10)
    assert shell.communicate(timeout=30)[0] == "USR1\ncode 7\n"


def test_job_scripts_and_the_cluster_are_programs():
    assert (ROOT / "tests" / "slurm" / "cluster").stat().st_mode & stat.S_IXUSR
