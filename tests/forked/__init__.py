"""Ranks of tests as forks of one interpreter that has imported PyTorch already.

Importing PyTorch takes each rank more than a second, and most of these tests take less. `mpiexec`
starts a small client in place of each rank (`client`), which hands its descriptors, variables and
folder to the server (`server`); the server forks, and the fork is the rank. What a test does to a
rank by its process number, or to the launcher, happens as to any other rank.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.launch.launcher import find_launcher

CLIENT = Path(__file__).with_name("client.py")
_running: list[tuple[subprocess.Popen[bytes], str]] = []


def rank_command() -> list[str]:
    """What stands in place of ``python`` on the command line of ranks; starts the server once."""
    if not _running or _running[0][0].poll() is not None:
        _start()
    return [sys.executable, "-I", "-S", str(CLIENT), _running[0][1]]


def executable() -> str:
    """A program that stands for Python, where a command line has room for one word only."""
    find_launcher()  # looks beside Python, once
    address = rank_command()[-1]
    program = Path(address).with_name("python")
    if not program.exists():
        program.write_text(f'#!/bin/sh\nexec {shlex.join(rank_command())} "$@"\n')
        program.chmod(0o755)
    return str(program)


def _start() -> None:
    address = str(Path(tempfile.mkdtemp(prefix="ranks-")) / "server")
    ready, written = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.forked.server", address, str(written)], pass_fds=[written]
    )
    os.close(written)
    with os.fdopen(ready, "rb") as pipe:
        assert pipe.read(1), "the server of ranks did not start"
    _running[:] = [(process, address)]


def stop() -> None:
    """End the server and what it forked; the session's end calls it."""
    for process, address in _running:
        process.kill()
        process.wait()
        shutil.rmtree(Path(address).parent, ignore_errors=True)
    _running.clear()
