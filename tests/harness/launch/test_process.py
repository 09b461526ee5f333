from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from harness.launch import process
from harness.launch.process import MARK, living_ranks, run
from harness.launch.recovery import end_adopted, last_words, note_adopted
from tests.harness.studies import environment, marked_processes, wait_until

# A grandchild that left its session and lost its parent, as a daemon does; it writes its number.
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    with open(sys.argv[1], "w") as file:
        file.write(str(os.getpid()))
    os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"])
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read():
    time.sleep(0.01)
"""


def python(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.mark.parametrize(("code", "expected"), [("0", 0), ("3", 3), ("'told'", 1)])
def test_exit_code(log, code, expected):
    outcome = run(python(f"import sys; sys.exit({code})"), {}, "m", log, 60)
    assert (outcome.exit_code, outcome.timed_out) == (expected, False)


def test_what_waits_for_what_will_never_come_is_given_up(log, monkeypatch):
    monkeypatch.setattr(process, "_ASK_SECONDS", 0.05)
    answers = iter([True, False, True, True])  # one doubt alone is none
    asked = []

    def lost(pid):
        asked.append(living_ranks(pid, "a rank"))
        return next(answers)

    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', NAP, 'a rank'])"
    nap = "import time; time.sleep(600)"
    outcome = run(
        python(child.replace("NAP", repr(nap))), {"PMI_RANK": "1"}, "m", log, 60, lost=lost
    )
    assert (outcome.exit_code, outcome.timed_out, outcome.given_up) == (-9, False, True)
    assert len(asked) == 4
    assert max(asked, key=len) == ["1"]


def test_death_by_a_signal_is_a_negative_code(log):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert run(python(code), {}, "m", log, 60).exit_code == -signal.SIGTERM


def test_output_variables_and_mark(log):
    code = f"import os, sys; print(os.environ['A'], os.environ['{MARK}']); sys.exit('error')"
    run(python(code), {"A": "b"}, "mark-1", log, 60)
    assert log.read_text() == "b mark-1\nerror\n"


def test_heartbeat(log):
    beats = []
    run(python("import time; time.sleep(0.3)"), {}, "m", log, 60, beats.append)
    assert beats == sorted(beats)
    assert len(beats) >= 2


@pytest.mark.parametrize("ending", ["time.sleep(600)", "sys.exit(0)"])
def test_no_descendant_is_left_not_even_a_reparented_daemon(tmp_path, log, ending):
    note = tmp_path / "pid"
    limit = 1.5 if "sleep" in ending else 60
    outcome = run(python(DAEMON + ending, note), {}, f"tree-{os.getpid()}", log, limit)
    assert outcome.timed_out == ("sleep" in ending)
    assert gone(int(note.read_text()))
    assert not marked_processes(f"tree-{os.getpid()}")


def test_descendant_without_its_mark_is_found_by_its_parents(tmp_path, log):
    note = tmp_path / "pid"
    nap = "import os, time; open({!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}], env={{}})"
    command = python(code.format(nap.format(str(note))))
    assert run(command, {}, "m", log, 1.5).timed_out
    assert gone(int(note.read_text()))


@pytest.mark.parametrize("limit", [60.0, 2.0])
def test_daemon_that_clears_its_environment_is_found_as_it_comes_to_us(tmp_path, log, limit):
    """It has lost its parents, its session and its mark."""
    cleared = DAEMON.replace("os.execv(sys.executable,", "os.execve(sys.executable,")
    cleared = cleared.replace('time.sleep(600)"])', 'time.sleep(600)"], {})')
    assert cleared.count("execve") == cleared.count(", {})") == 1
    note, ours = tmp_path / "pid", subprocess.Popen(python("import time; time.sleep(600)"))
    rest = "" if limit == 60.0 else "time.sleep(600)"
    try:
        outcome = run(python(cleared + rest, note), {}, "m", log, limit)
        assert outcome.timed_out == bool(rest)
        assert gone(int(note.read_text()))
        assert ours.poll() is None
    finally:
        ours.kill()
        ours.wait()


@pytest.mark.parametrize(("code", "told"), [("time.sleep(600)", True), ("", False)])
def test_who_is_about_to_be_killed_is_told_of_while_it_lives(log, code, told):
    seen = []
    run(python(f"import time; {code}"), {}, "m-dying", log, 1.5,
        dying=lambda pid: seen.append(gone(pid)))  # fmt: skip
    assert seen == [False] * told


def test_error_in_the_heartbeat_leaves_nothing_running(log):
    def interrupt(elapsed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(python("import time; time.sleep(600)"), {}, f"beat-{os.getpid()}", log, 60, interrupt)
    assert not marked_processes(f"beat-{os.getpid()}")


def test_finished_command_whose_number_is_taken_by_another_process(log):
    """Process numbers are used again: what is dead must not be looked up by its number."""
    innocent = subprocess.Popen(python("import time; time.sleep(600)"))
    try:
        dead = subprocess.Popen(python("pass"))
        dead.wait()
        dead.pid = innocent.pid
        process.kill_tree(dead, "no such mark")
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def test_child_dies_when_its_runner_is_killed(tmp_path):
    note = tmp_path / "pid"
    child = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    runner = (
        "import sys; from pathlib import Path; from harness.launch.process import run; "
        f"run([sys.executable, '-c', {child!r}], {{}}, 'm', Path({str(tmp_path / 'log')!r}), 600)"
    )
    parent = subprocess.Popen(python(runner), env=environment())
    assert wait_until(lambda: note.exists() and note.read_text())
    parent.kill()
    parent.wait()
    assert wait_until(lambda: gone(int(note.read_text())))


MPICH_BANNER = """
===================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   EXIT CODE: 11
===================================================================================
YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Segmentation fault (signal 11)
Please see the FAQ page for debugging suggestions
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no output"),
        (b"\n  \n", "no output"),
        (b"first\nlast \n\n", "last"),
        (b"bad \xff byte", "bad \ufffd byte"),
        (MPICH_BANNER.encode(), "Segmentation fault (signal 11)"),
        (b"own words\n" + MPICH_BANNER.encode(), "Segmentation fault (signal 11): own words"),
        (b"x" * 10**6 + b"\nlast", "last"),
    ],
)
def test_last_words_of_a_log(log, text, words):
    log.write_bytes(text)
    assert last_words(log) == words


def test_a_number_that_is_another_process_s_by_now_is_left_alone(tmp_path):
    with subprocess.Popen(python("import time; time.sleep(600)")) as nap:
        note_adopted(tmp_path, nap.pid)
        (note,) = tmp_path.iterdir()
        stem, _, began = note.name.rpartition(":")
        note.rename(tmp_path / f"{stem}:{int(began) - 60}")
        end_adopted(tmp_path)
        assert nap.poll() is None
        note_adopted(tmp_path, nap.pid)
        end_adopted(tmp_path)
        assert nap.wait(20) == -9
    end_adopted(tmp_path)  # it is gone


@pytest.mark.parametrize("path", ["/usr/local/bin:/usr/bin:/bin", "/nowhere"])
def test_a_process_dies_with_its_parent(path):
    """By setpriv(1) where there is one, else by a fork that asks itself."""
    code = (
        "import os, sys, time; from harness.launch import mortal; "
        "nap = [sys.executable, '-c', 'import time; time.sleep(600)']; "
        "print(bool(mortal._setpriv()), mortal.start_mortal(nap).pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        python(code), env={**environment(), "PATH": path}, stdout=subprocess.PIPE, text=True
    )
    by_setpriv, child = parent.stdout.readline().split()
    assert by_setpriv == str(path != "/nowhere" and shutil.which("setpriv") is not None)
    assert wait_until(lambda: len(psutil.Process(int(child)).cmdline()) == 3), "it has begun"
    parent.kill()
    parent.wait()
    assert wait_until(lambda: gone(int(child)))
