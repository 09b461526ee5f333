"""What the launcher starts in place of a rank: it ends as the rank ends, and the rank with it.

Imports little, since it is started for every rank.
"""

import json
import os
import signal
import socket
import sys


def main(address: str, *arguments: str) -> None:
    # The launcher tells a rank by number where its process manager listens (MPICH, PMI_FD).
    numbers = [0, 1, 2, *(int(os.environ[name]) for name in ("PMI_FD",) if name in os.environ)]
    request = json.dumps(
        {
            "arguments": arguments,
            "folder": os.getcwd(),  # noqa: PTH109
            "variables": dict(os.environ),
            "cores": sorted(os.sched_getaffinity(0)),
            "numbers": numbers,
        }
    ).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [len(request).to_bytes(8, "little")], numbers)
        server.sendall(request)
        # These stay open here as well: where the process manager sees a rank's connection close
        # before the rank has ended, it kills what it has started.
        ending = server.recv(64)
    code = int(ending) if ending else 1  # nothing comes where the server itself died
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


main(*sys.argv[1:])
