"""Writers of one SQLite file wait in line, and nobody can leave it blocked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import OperationalError, connections, transaction

from labelstudio_llm.environment import SQLITE_OPTIONS
from labelstudio_llm.sqlite.base import DatabaseWrapper

pytestmark = pytest.mark.django_db(transaction=True)  # lets these threads at a database

HOLD = """
import fcntl, os, sys, time
fcntl.flock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


@contextmanager
def database(file: Path, timeout: float = 20) -> Iterator[DatabaseWrapper]:
    """Yield this thread's connection to a file, as the alias `line`."""
    changes = {"NAME": str(file), "OPTIONS": SQLITE_OPTIONS | {"timeout": timeout}}
    wrapper = DatabaseWrapper({**connections.settings["default"], **changes}, "line")
    connections["line"] = wrapper
    try:
        yield wrapper
    finally:
        wrapper.close()
        del connections["line"]


def run(wrapper: DatabaseWrapper, statement: str) -> list[tuple[int, ...]]:
    with wrapper.cursor() as cursor:
        return list(cursor.execute(statement).fetchall())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with database(tmp_path / "db.sqlite3") as wrapper:
        run(wrapper, "CREATE TABLE counter (n INTEGER)")
        run(wrapper, "INSERT INTO counter VALUES (0)")
    return tmp_path / "db.sqlite3"


def test_every_one_of_many_writers_gets_its_turn(file: Path) -> None:
    def count(times: int) -> None:
        with database(file) as wrapper:
            for _ in range(times):
                with transaction.atomic("line"):
                    ((n,),) = run(wrapper, "SELECT n FROM counter")
                    time.sleep(0.001)
                    run(wrapper, f"UPDATE counter SET n = {n + 1}")

    threads = [threading.Thread(target=count, args=[10]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database(file) as wrapper:
        assert run(wrapper, "SELECT n FROM counter") == [(80,)]


@pytest.mark.parametrize("how", ["commit", "roll back", "close"])
def test_whoever_ends_a_transaction_leaves_the_line(file: Path, how: str) -> None:
    with database(file) as wrapper:
        if how == "commit":
            with transaction.atomic("line"), transaction.atomic("line"):
                run(wrapper, "UPDATE counter SET n = 1")
        elif how == "roll back":
            with pytest.raises(ZeroDivisionError), transaction.atomic("line"):
                run(wrapper, f"UPDATE counter SET n = {1 // 0}")
        else:
            wrapper.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
            wrapper.close()
    with database(file, timeout=0.1), transaction.atomic("line"):
        pass


def test_who_waits_too_long_is_told_that_the_database_is_locked(file: Path) -> None:
    refused: list[BaseException] = []

    def wait() -> None:
        with database(file, timeout=0.1):
            try:
                with transaction.atomic("line"):
                    pass
            except OperationalError as error:
                refused.append(error)

    with database(file), transaction.atomic("line"):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
    assert str(refused[0]) == "database is locked"
    wait()
    assert len(refused) == 1


def test_a_killed_process_leaves_the_line(file: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, f"{file}-line"], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    threading.Timer(0.3, os.kill, [holder.pid, signal.SIGKILL]).start()
    started = time.monotonic()
    with database(file), transaction.atomic("line"):
        assert time.monotonic() - started >= 0.2
    holder.wait()
    holder.stdout.close()
