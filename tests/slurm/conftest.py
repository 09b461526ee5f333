"""A real Slurm cluster for the tests of this folder; `make test-slurm` runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

CLUSTER = Path(__file__).with_name("cluster")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
#: Set where Slurm must be there (.ci/run): without it the tests then fail, and are not skipped.
REQUIRED = "SPARRING_REQUIRE_SLURM"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two nodes on this host, idle; SLURM_CONF names them to every command."""
    path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
    missing = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    if os.geteuid() != 0:
        missing.append("root's rights, which the daemons need")
    if missing:
        told = f"no Slurm to test with: missing {', '.join(missing)} (Debian: slurm-wlm, munge)"
        pytest.fail(told) if os.environ.get(REQUIRED) else pytest.skip(told)
    folder = tmp_path_factory.mktemp("cluster")
    subprocess.run([CLUSTER, "start", folder], check=True, timeout=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        for name in [name for name in os.environ if name.startswith(("SBATCH_", "SQUEUE_"))]:
            patch.delenv(name)
        try:
            yield folder
        finally:
            subprocess.run([CLUSTER, "stop", folder], check=False, timeout=60)
