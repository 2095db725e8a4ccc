"""What becomes of a connection to PostgreSQL when a request is done with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, ProgrammingError, connection, transaction

from labelstudio_llm import doctor
from labelstudio_llm.postgresql import base

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server"),
    pytest.mark.django_db(transaction=True),
]


def backend() -> int:
    """Return the number that the server knows this connection by."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def in_a_thread(work: Callable[[], int]) -> int:
    """Return what a request in another thread finds."""
    found: list[int] = []

    def run() -> None:
        found.append(work())
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_the_next_request_has_it_whatever_its_thread() -> None:
    mine = backend()
    other = in_a_thread(backend)  # both are at work
    assert other != mine
    connection.close()
    assert in_a_thread(backend) == mine  # what was used last
    assert backend() == mine


def end(number: int) -> None:
    """Let the server end a connection, as it does when it stops."""
    with psycopg.connect(**connection.get_connection_params()) as of_another:
        of_another.execute("SELECT pg_terminate_backend(%s, 5000)", [number])


def test_nobody_gets_one_that_the_server_has_ended() -> None:
    mine = backend()
    connection.close()
    end(mine)
    assert backend() != mine


def test_one_that_was_ended_is_not_usable() -> None:
    mine = backend()
    assert connection.is_usable()
    end(mine)
    assert not connection.is_usable()
    connection.close()
    assert backend() != mine


def test_a_standby_counts_as_a_server_that_is_away() -> None:
    """What it refuses would be an error of another kind, which no page and no worker waits out."""
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as server:
        name = server.info.dbname
        connection.close()
        connection.close_pool()
        server.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        try:
            with pytest.raises(OperationalError, match="read-only"):
                backend()
        finally:
            server.execute("SET default_transaction_read_only = off")
            server.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    assert backend()


def test_nobody_gets_one_in_the_middle_of_a_transaction() -> None:
    with suppress(InterfaceError), transaction.atomic():
        mine = backend()
        connection.close()
    assert backend() != mine


@pytest.mark.parametrize("limit", ["IDLE_SECONDS", "LONGEST_SECONDS"])
def test_nobody_gets_one_that_is_old(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = backend()
    connection.close()
    monkeypatch.setattr(base, limit, 0)
    assert backend() != mine


def test_one_that_met_an_error_is_not_kept() -> None:
    mine = backend()
    with pytest.raises(ProgrammingError), connection.cursor() as cursor:
        cursor.execute("SELECT nothing_of_this_name")
    connection.close_if_unusable_or_obsolete()
    assert backend() != mine


def test_a_child_does_not_keep_what_is_its_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = backend()
    monkeypatch.setattr(base.os, "getpid", lambda: -1)
    connection.close()
    monkeypatch.undo()
    assert backend() != mine


def test_nothing_is_kept_when_the_database_is_dropped() -> None:
    mine = backend()
    connection.close()
    connection.close_pool()
    assert backend() != mine


def test_what_is_read_by_a_cursor_is_planned_to_be_read_to_its_end() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW cursor_tuple_fraction")
        assert cursor.fetchone() == ("1",)


def found() -> list[str]:
    return [words for level, words in doctor.database() if level != "ok"]


def test_the_doctor_finds_nothing_where_nothing_is_wrong() -> None:
    assert found() == []


def test_the_doctor_finds_a_standby_and_tables_that_are_closed() -> None:
    """A standby answers like a server that takes no writes."""
    backend()
    connection.connection.execute("SET default_transaction_read_only = on")
    assert "Write the address of the primary" in found()[0]
    connection.connection.execute("SET default_transaction_read_only = off")
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE reads_only")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reads_only")
        cursor.execute("SET ROLE reads_only")
    try:
        assert "The role reads_only may not read and write" in found()[0]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            cursor.execute("DROP OWNED BY reads_only; DROP ROLE reads_only")
