"""Django's PostgreSQL, for a server with threads.

A connection that a request is done with is the next one's, whichever thread that has: few of many
threads work at a time, and the few connections that they pass on have their statements planned.
Whether the server has ended one in the meantime is read from what has arrived here. Django would
keep one for each thread, and ask the server about it before each request.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from psycopg.pq import ConnStatus, TransactionStatus

MOST_IDLE = 8
"""How many connections a process keeps that it has no use for at the moment."""

LONGEST_SECONDS = 600
"""How old a connection gets, so that a server can be moved without starting this one again."""

Key = tuple[tuple[str, object], ...]
Kept = tuple[psycopg.Connection[Any], float]
"""A connection, and when it was opened."""

_idle: dict[Key, list[Kept]] = {}
_lock = threading.Lock()

# A child has its own; those of its parent stay as they are, because psycopg knows whose they are.
os.register_at_fork(after_in_child=_idle.clear)

# The stubs leave out what a backend may override.
Base: Any = base.DatabaseWrapper


class DatabaseWrapper(Base):
    """A connection that is passed on, and knows when it was ended."""

    _key: Key = ()
    _opened = 0.0
    _process = 0

    def get_new_connection(self, conn_params: Mapping[str, object]) -> Any:
        self.isolation_level = IsolationLevel.READ_COMMITTED
        self._process = os.getpid()
        self._key = tuple(
            sorted((k, v) for k, v in conn_params.items() if isinstance(v, str | int))
        )
        while (kept := _take(self._key)) is not None:
            connection, self._opened = kept
            if stands(connection):
                return connection
            connection.close()
        self._opened = time.monotonic()
        return super().get_new_connection(conn_params)

    def is_usable(self) -> bool:
        return self.connection is not None and stands(self.connection)

    def close_pool(self) -> None:
        """Close what is kept, so that a database can be dropped or copied."""
        super().close_pool()
        while (kept := _take(self._key)) is not None:
            kept[0].close()

    def _close(self) -> Any:
        if self.connection is not None and self._is_fit() and _keep(self._key, self._kept()):
            return None
        return super()._close()

    def _is_fit(self) -> bool:
        """Say whether this is as good as a new connection, and not much older.

        What a child was left by its parent is the parent's.
        """
        server = self.connection.pgconn
        return bool(
            self._process == os.getpid()
            and not self.errors_occurred
            and self.connection.autocommit
            and server.status == ConnStatus.OK
            and server.transaction_status == TransactionStatus.IDLE
            and time.monotonic() - self._opened < LONGEST_SECONDS
        )

    def _kept(self) -> Kept:
        return self.connection, self._opened


def stands(connection: psycopg.Connection[Any]) -> bool:
    """Say whether a connection is as it was left: unasked, a server only says that it ends."""
    server = connection.pgconn
    if server.status != ConnStatus.OK:
        return False
    said = select.poll()
    said.register(server.socket, select.POLLIN)
    return not said.poll(0)


def _take(key: Key) -> Kept | None:
    """Return the connection that was used last."""
    with _lock:
        kept = _idle.get(key)
        return kept.pop() if kept else None


def _keep(key: Key, connection: Kept) -> bool:
    with _lock:
        kept = _idle.setdefault(key, [])
        if len(kept) >= MOST_IDLE:
            return False
        kept.append(connection)
        return True
