"""Several processes at one work, as torchrun starts them, for tests."""

import os
import socket
import subprocess
import sys

ENGINE = ["-m", "cryodrgn_plugin.engine.cli"]


def environment(own: int, count: int, port: int) -> dict[str, str]:
    """What torchrun gives each process."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    return {**os.environ, **place, "RANK": str(own), "LOCAL_RANK": str(own), "WORLD_SIZE": str(count)}


def started(arguments: list[str], count: int, what: list[str] = ENGINE) -> list[subprocess.Popen]:
    """`count` processes of one program with these arguments."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [sys.executable, *what, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [subprocess.Popen(program, env=environment(own, count, port), **pipes) for own in range(count)]
