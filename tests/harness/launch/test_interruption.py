"""Signals that come at the worst moment."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

#: The signal comes in a callback, whose exceptions Python forgets.
PROGRAM = """
import os, sys, time
from harness.launch.interruption import HungUp, Terminated, terminable

class Callback:
    def __del__(self):
        os.kill(os.getpid(), {number})
        for _ in range(100):
            pass

try:
    with terminable():
        callback = Callback()
        del callback
        time.sleep(60)
except {expected}:
    sys.exit(7)
"""


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGTERM, "Terminated"),
        (signal.SIGHUP, "HungUp"),
        (signal.SIGINT, "KeyboardInterrupt"),
    ],
)
def test_signal_that_python_forgets_is_not_lost(number, expected):
    program = PROGRAM.format(number=int(number), expected=expected)
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert (told.returncode, told.stderr) == (7, "")


def test_a_hang_up_that_is_ignored_stays_so():
    """As after nohup(1)."""
    program = PROGRAM.format(number=int(signal.SIGHUP), expected="HungUp")
    program = program.replace("time.sleep(60)", "sys.exit(3)")
    told = subprocess.run(["nohup", sys.executable, "-c", program], capture_output=True, text=True,
                          timeout=50, check=False)  # fmt: skip
    assert told.returncode == 3


def test_what_else_is_forgotten_is_told():
    program = PROGRAM.format(number=0, expected="KeyboardInterrupt").replace(
        "for _ in range(100):", "raise ValueError('forgotten')\n        for _ in ():"
    )
    program = program.replace("time.sleep(60)", "sys.exit(3)")
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          timeout=50, check=False)  # fmt: skip
    assert told.returncode == 3
    assert "ValueError: forgotten" in told.stderr
