"""`make run` from the last step on: everything starts, Ctrl-C ends everything."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from honcho.printer import Message

from annotations.models import Project
from labelstudio_llm import start
from training.tests.factories import make_run

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment_of(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a platform in `folder`."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "SECRET_KEY", "ALLOWED_HOSTS")
    }
    # DEBUG: the test needs no collected static files.
    return environment | {"VAR_DIR": str(folder), "DEMO": "1", "DEBUG": "1", **more}


def start_platform(folder: Path, port: int, **more: str) -> subprocess.Popen[str]:
    """Start the platform in `folder`, as a terminal would: in a session of its own."""
    environment = environment_of(folder, PORT=str(port), **more)
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


def wait_until_it_serves(port: int, platform: subprocess.Popen[Any], log: Path) -> None:
    for _ in range(480):
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


def test_ctrl_c_leaves_no_process_behind_and_gives_the_run_back(
    folder: Path, django_db_blocker: Any
) -> None:
    scripted = {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
        "SCRIPTED_STEPS": "1000",
        "SCRIPTED_STEP_S": "0.2",
    }
    with started(folder, **scripted) as platform:
        with django_db_blocker.unblock():
            queue_a_run(folder)
        wait_for_steps(folder)
        end(platform, signal.SIGINT)
    check_calm(folder / "log")
    with closing(sqlite3.connect(folder / "db.sqlite3")) as database:
        found = database.execute("SELECT state, attempt, times_lost FROM training_run").fetchall()
    assert found == [("queued", 1, 0)]


@pytest.mark.long
def test_a_closed_terminal_leaves_no_process_behind(folder: Path) -> None:
    with started(folder) as platform:
        queues = ("-Q default", "-Q sampling", "-Q training")
        wait_for_processes(folder, "gunicorn", "valkey-server", *queues)
        end(platform, signal.SIGHUP)


@pytest.mark.long
def test_a_launcher_that_is_killed_takes_everything_along(
    folder: Path, django_db_blocker: Any
) -> None:
    scripted = {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
        "SCRIPTED_STEPS": "1000",
        "SCRIPTED_STEP_S": "0.2",
    }
    with started(folder, **scripted) as platform:
        with django_db_blocker.unblock():
            queue_a_run(folder)
        wait_for_steps(folder)
        platform.kill()
        platform.wait()
        wait_for_end(folder)


@pytest.mark.long
def test_one_killed_process_of_the_launcher_ends_everything(folder: Path) -> None:
    with started(folder) as platform:
        wait_for_processes(folder, "-Q default", "-Q sampling", "-Q training")
        readers = Path(f"/proc/{platform.pid}/task/{platform.pid}/children").read_text().split()
        os.kill(int(readers[-1]), signal.SIGKILL)
        platform.wait(timeout=20)


@pytest.mark.long
def test_it_ends_with_its_parent_where_it_is_told_to(folder: Path) -> None:
    port, shell = free_port(), '"$0" "$@" & wait'
    command = [sys.executable, "-m", "labelstudio_llm.start", start.END_WITH_PARENT]
    with (folder / "log").open("w") as log:
        parent = subprocess.Popen(
            ["sh", "-c", shell, *command],
            cwd=settings.BASE_DIR,
            env=environment_of(folder, PORT=str(port)),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until_it_serves(port, parent, folder / "log")
        parent.kill()
        parent.wait()
        wait_for_end(folder)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


def test_it_stops_when_nobody_reads_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stopped: list[bool] = []
    monkeypatch.setattr(start, "stop_silently", lambda: stopped.append(True))
    with suppress(BrokenPipeError), os.fdopen(writing, "w") as nobody:
        line = Message(type="line", data="x", time=datetime.now(), name="web", colour=None)
        start.TerminalPrinter(nobody).write(line)
    assert stopped


def wait_for_end(folder: Path) -> None:
    """Wait until no process works in `folder` any more."""
    for _ in range(100):
        if not processes_of(folder):
            return
        time.sleep(0.1)
    raise AssertionError(processes_of(folder))


@contextmanager
def started(folder: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Start the platform and wait until it serves; it ends with the block whatever happens."""
    port = free_port()
    platform = start_platform(folder, port, **more)
    try:
        wait_until_it_serves(port, platform, folder / "log")
        yield platform
    finally:
        if platform.poll() is None:
            os.killpg(platform.pid, signal.SIGTERM)
            platform.wait(timeout=30)


def end(platform: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send what a terminal sends, and expect that everything has ended within seconds."""
    began = time.monotonic()
    os.killpg(platform.pid, number)
    platform.wait(timeout=30)
    assert time.monotonic() - began < 10


def check_calm(log: Path) -> None:
    """Check that everything ended when it was asked to, the broker last, without a complaint."""
    said = log.read_text().rpartition("SIGINT received")[2]
    assert "Traceback" not in said, said
    assert "SIGKILL" not in said, said
    assert "anew" not in said, said
    ends = [line for line in said.splitlines() if "stopped (rc=" in line]
    assert "broker" in ends[-1], said
    assert len(ends) == 5


def queue_a_run(folder: Path) -> None:
    """Queue a run in the database of the platform of `folder`, in a copy of this process.

    One that begins from nothing spends seconds on loading what this one has.
    """
    child = os.fork()
    if child == 0:
        try:
            connection.connection = None  # the parent's
            connection.settings_dict["NAME"] = str(folder / "db.sqlite3")
            settings.ARTIFACTS_ROOT = folder / "artifacts"
            make_run(Project.objects.get())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def wait_for_steps(folder: Path) -> None:
    for _ in range(300):
        if any(path.stat().st_size for path in folder.rglob("steps.txt")):
            return
        time.sleep(0.2)
    raise AssertionError((folder / "log").read_text())


def test_it_names_the_way_out_when_the_port_is_taken(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        platform = start_platform(folder, port)
        assert platform.wait(timeout=30) == 1
    assert f"Port {port} is taken by another program" in (folder / "log").read_text()
    assert f"make run PORT={port + 1}" in (folder / "log").read_text()
