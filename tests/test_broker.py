"""The broker in the wheel: it listens on a socket, and a restart loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from django.conf import settings

from labelstudio_llm import broker


def start(folder: Path, *, stderr: int | None = None, **environment: str) -> subprocess.Popen[str]:
    """Start the broker with `folder` as VAR_DIR."""
    return subprocess.Popen(
        [sys.executable, "-m", "labelstudio_llm.broker"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DEMO": "1", "VAR_DIR": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


@contextmanager
def running(folder: Path) -> Iterator[redis.Redis]:
    """Yield a client of a running broker; stop it at the end."""
    process = start(folder)
    client = redis.Redis(unix_socket_path=str(broker.socket_path(folder / "broker")))
    try:
        wait_until_it_answers(client)
        yield client
    finally:
        client.close()
        process.terminate()
        assert process.wait(timeout=10) == 0


def wait_until_it_answers(client: redis.Redis) -> None:
    for _ in range(100):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("The broker did not answer within 10 seconds.")


def test_it_keeps_what_waits_in_a_queue_through_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as client:
        client.rpush("queue", "run 1", "run 2")
        assert client.info("memory")["maxmemory_policy"] == "noeviction"
    with running(tmp_path) as client:
        assert client.llen("queue") == 2


def test_it_moves_a_socket_whose_path_is_too_long(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    assert len(os.fsencode(broker.socket_path(deep))) <= broker.LONGEST_SOCKET_PATH
    assert broker.socket_path(deep) != broker.socket_path(tmp_path / ("y" * 120))
    with running(deep) as client:
        assert client.ping()
        broker.remove_socket_folder(deep / "broker")  # which changes nothing while it is in use
        assert client.ping()
    broker.remove_socket_folder(deep / "broker")
    assert not broker.socket_path(deep / "broker").parent.exists()


def unsafe_folders() -> dict[str, Callable[[Path], object]]:
    """Return ways to make a folder that is not safe, by what is wrong with it."""

    def given_away(place: Path) -> None:
        place.mkdir(mode=0o700)
        os.chown(place, 65534, -1)

    def linked(place: Path) -> None:
        place.symlink_to(place.parent)

    def open_to_others(place: Path) -> None:
        place.mkdir()
        place.chmod(0o755)

    return {
        "open to others": open_to_others,
        "a link": linked,
        "a file": Path.touch,
        "somebody else's": given_away,
    }


@pytest.mark.parametrize("wrong", unsafe_folders())
def test_it_refuses_a_folder_that_others_may_have_prepared(tmp_path: Path, wrong: str) -> None:
    if wrong == "somebody else's" and os.getuid() != 0:
        pytest.skip("Only root can give a folder away.")
    deep, temporary = tmp_path / ("x" * 120), Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        place = temporary / broker.socket_path(deep / "broker").parent.name
        unsafe_folders()[wrong](place)
        process = start(deep, TMPDIR=str(temporary), stderr=subprocess.STDOUT)
        assert process.stdout is not None
        said = process.communicate(timeout=20)[0]
        assert process.returncode != 0
        assert f"the broker's socket, which goes to {place} instead" in said.splitlines()[-1]
        assert "choose a shorter VAR_DIR" in said
    finally:
        shutil.rmtree(temporary)


def test_it_closes_the_folder_that_it_makes(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    with running(deep):
        place = broker.socket_path(deep / "broker").parent
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        broker.check_socket_folder(place)
    broker.remove_socket_folder(deep / "broker")


def test_it_waits_where_another_broker_is_used(tmp_path: Path) -> None:
    process = start(tmp_path, REDIS_URL="redis://redis.example.org")
    assert process.stdout is not None
    assert "REDIS_URL is set" in process.stdout.readline()
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 0
    assert not (tmp_path / "broker").exists()
