"""The disk of PostgreSQL gets full, and nothing that it acknowledged is lost."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.chaos.disk import limited
from tests.chaos.system import PostgreSQL

pytestmark = pytest.mark.slow
LETTER = "x" * 5_000


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """Yield a PostgreSQL with a table, on a disk of its own."""
    # A short path: the socket lies in it.
    with (
        tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as own,
        limited(Path(own) / "data") as disk,
    ):
        if disk is None:
            pytest.skip("The disk of PostgreSQL does not get full: that takes root.")
        server = PostgreSQL(Path(own) / "data", Path(own) / "database.log", disk)
        try:
            with psycopg.connect(server.uri) as connection:
                connection.execute("CREATE TABLE letters (number int PRIMARY KEY, text text)")
                connection.execute("ALTER TABLE letters ALTER text SET STORAGE EXTERNAL")
            yield server
        finally:
            server.free_disk()
            server.end(20)


def write(server: PostgreSQL, number: int) -> None:
    """Return when the server has acknowledged a letter."""
    with psycopg.connect(server.uri, connect_timeout=2) as connection:
        connection.execute("INSERT INTO letters VALUES (%s, %s)", (number, LETTER))


def write_until_refused(server: PostgreSQL, written: list[int]) -> psycopg.OperationalError:
    """Write letters until one is refused; return how. Any other error than this is a fault."""
    for number in range(len(written), len(written) + 10_000):
        try:
            write(server, number)
        except psycopg.OperationalError as error:
            return error
        written.append(number)
    raise AssertionError("The disk was never full.")


def kept(server: PostgreSQL) -> list[int]:
    with psycopg.connect(server.uri) as connection:
        rows = connection.execute(
            "SELECT number FROM letters WHERE text = %s ORDER BY 1", (LETTER,)
        )
        return [number for (number,) in rows]


def tend_until(server: PostgreSQL, done: Callable[[], object], seconds: float = 30) -> None:
    """Start the server again whenever it has ended, until something can be done."""
    end = time.monotonic() + seconds
    while True:
        server.tend()
        with contextlib.suppress(psycopg.OperationalError):
            done()
            return
        assert time.monotonic() < end, server.server.log.read_text()
        time.sleep(0.1)


def test_what_does_not_fit_into_a_table_is_refused_and_nothing_else(server: PostgreSQL) -> None:
    assert server.disk is not None
    write(server, 0)
    written = kept(server)
    server.disk.fill()
    refused = write_until_refused(server, written)
    assert isinstance(refused, psycopg.errors.DiskFull)
    assert "No space left on device" in str(refused)
    assert kept(server) == written
    server.free_disk()
    write(server, len(written))
    assert kept(server) == [*written, len(written)]


def test_a_server_whose_log_cannot_go_on_ends_and_has_all_it_took_when_there_is_room(
    server: PostgreSQL,
) -> None:
    assert server.disk is not None
    written = kept(server)
    server.disk.fill()
    server.end_log_file()
    write_until_refused(server, written)
    with pytest.raises(AssertionError):
        tend_until(server, lambda: write(server, len(written)), seconds=3)
    messages = server.server.log.read_text()
    assert "PANIC:  could not write to file" in messages
    server.free_disk()
    tend_until(server, lambda: write(server, len(written) + 1))
    # Whoever was not told may have been served.
    assert {*kept(server)} - {len(written)} == {*written, len(written) + 1}
