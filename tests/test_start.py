"""`make run` from the last step on: everything starts, Ctrl-C ends everything."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, port: int) -> subprocess.Popen[str]:
    """Start the platform in `folder`, as a terminal would: in a session of its own."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "SECRET_KEY", "ALLOWED_HOSTS")
    }
    # DEBUG: the test needs no collected static files.
    environment |= {"VAR_DIR": str(folder), "PORT": str(port), "DEMO": "1", "DEBUG": "1"}
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "labelstudio_llm.start"],
            cwd=settings.BASE_DIR,
            env=environment,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )


def processes_of(folder: Path) -> list[str]:
    """Return the command line of each process that works in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        # The broker writes its title over its environment; the title names its socket.
        if command and os.fsencode(folder) in environment + command:
            found.append(command.replace(b"\0", b" ").decode())
    return found


def wait_for_processes(folder: Path, *parts: str) -> None:
    for _ in range(100):
        missing = [part for part in parts if part not in " ".join(processes_of(folder))]
        if not missing:
            return
        time.sleep(0.1)
    raise AssertionError(f"{missing} did not start. {(folder / 'log').read_text()}")


def wait_until_it_serves(port: int, platform: subprocess.Popen[str], log: Path) -> None:
    for _ in range(240):
        assert platform.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/sign-in/", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
        else:
            return
    raise AssertionError(log.read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert not processes_of(tmp_path)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGHUP])
def test_it_serves_and_leaves_no_process_behind(folder: Path, ending: signal.Signals) -> None:
    port = free_port()
    platform = start(folder, port)
    try:
        wait_until_it_serves(port, platform, folder / "log")
        queues = ("-Q default", "-Q sampling", "-Q training")
        wait_for_processes(folder, "gunicorn", "valkey-server", *queues)
        began = time.monotonic()
        os.killpg(platform.pid, ending)
        platform.wait(timeout=30)
        assert time.monotonic() - began < 15
    finally:
        if platform.poll() is None:
            os.killpg(platform.pid, signal.SIGTERM)
            platform.wait(timeout=30)


def test_it_names_the_way_out_when_the_port_is_taken(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        platform = start(folder, port)
        assert platform.wait(timeout=30) == 1
    assert f"Port {port} is taken by another program" in (folder / "log").read_text()
    assert f"make run PORT={port + 1}" in (folder / "log").read_text()
