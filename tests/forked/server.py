"""The interpreter that ranks of tests are forks of."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_DESCRIPTORS = 8  # of one client, at most
_HIGH = 200  # above every number that a rank's descriptors may have
#: The first optimizer of a process imports torch._dynamo, in more than a second.
PRELOADED = ("numpy", "torch", "torch._dynamo", "sparring", "sparring.strategies")


def preload() -> None:
    """Import what takes long. Not MPI: it is initialised by its import, in each rank."""
    for name in PRELOADED:
        importlib.import_module(name)
    assert "mpi4py.MPI" not in sys.modules
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page of these


def serve(address: str, ready: int) -> dict[str, Any]:
    """Fork for each client until killed; returns in the fork, with what it shall be."""
    selector = selectors.DefaultSelector()
    clients: dict[int, tuple[socket.socket, int]] = {}  # by fork: to its client, and its end
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(128)
    selector.register(listener, selectors.EVENT_READ, "client")
    os.write(ready, b"1")
    os.close(ready)
    while True:
        for key, _ in selector.select():
            if key.data == "client":
                client, _ = listener.accept()
                request, descriptors = receive(client)
                if request is None:
                    client.close()
                    continue
                child = os.fork()
                if child == 0:
                    selector.close()
                    for other in (listener, client, *(one for one, _ in clients.values())):
                        other.close()
                    return {**request, "descriptors": descriptors}
                for number in descriptors:
                    os.close(number)
                clients[child] = client, os.pidfd_open(child)
                selector.register(client, selectors.EVENT_READ, ("left", child))
                selector.register(clients[child][1], selectors.EVENT_READ, ("ended", child))
            elif key.data[1] in clients:
                what, child = key.data
                if what == "left":  # the launcher has killed the client
                    os.kill(child, signal.SIGKILL)
                client, ended = clients.pop(child)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                with contextlib.suppress(OSError):
                    client.sendall(str(code).encode())
                for one in (client, ended):
                    selector.unregister(one)
                client.close()
                os.close(ended)


def receive(client: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """A client's request (None if it was killed meanwhile) and the descriptors beside it."""
    head, descriptors, _, _ = socket.recv_fds(client, 8, _DESCRIPTORS)
    left = int.from_bytes(head, "little")
    text = b""
    while len(text) < left and (more := client.recv(left - len(text))):
        text += more
    if not left or len(text) < left:
        for number in descriptors:
            os.close(number)
        return None, []
    return json.loads(text), descriptors


def become(rank: dict[str, Any]) -> list[str]:
    """Be the process that the client would have been; what is left of its command line."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # First out of the way of the numbers that they shall have.
    high = [fcntl.fcntl(number, fcntl.F_DUPFD, _HIGH) for number in rank["descriptors"]]
    for number in rank["descriptors"]:
        os.close(number)
    for number, wanted in zip(high, rank["numbers"], strict=True):
        os.dup2(number, wanted)
        os.close(number)
    os.chdir(rank["folder"])
    os.environ.clear()
    os.environ.update(rank["variables"])
    os.sched_setaffinity(0, rank["cores"])
    os.setpgid(0, 0)
    import numpy as np
    import torch

    random.seed()
    np.random.seed()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", len(rank["cores"]))))
    return list(rank["arguments"])


def run(arguments: list[str]) -> None:
    """As ``python ARGUMENTS...``, up to its end."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[0] = ""
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")


def exit_code(ending: BaseException | None) -> int:
    """What Python would make of the exception that ends a program; says it as Python does."""
    if ending is None:
        return 0
    if not isinstance(ending, SystemExit):
        sys.excepthook(type(ending), ending, ending.__traceback__)
        return 1
    if ending.code is None or isinstance(ending.code, int):
        return (ending.code or 0) & 0xFF
    print(ending.code, file=sys.stderr)
    return 1


def leave(code: int) -> None:
    """End as an interpreter ends, but for its memory, which takes a second to free."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if "mpi4py.MPI" in sys.modules:
        from mpi4py import MPI

        if not MPI.Is_finalized():
            MPI.Finalize()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # Not os._exit: MPICH tells its process manager in a handler of C's exit(3).
    ctypes.CDLL(None).exit(code)


if __name__ == "__main__":
    preload()
    rank, ending = become(serve(sys.argv[1], int(sys.argv[2]))), None
    try:
        run(rank)
    except BaseException as error:
        ending = error
    leave(exit_code(ending))
