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
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db.backends.postgresql import base, features
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from psycopg.pq import ConnStatus, TransactionStatus

MOST_IDLE = 8
"""How many connections a process keeps that it has no use for at the moment."""

LONGEST_SECONDS = 600
"""How old a connection gets, so that a server can be moved without starting this one again."""

IDLE_SECONDS = 60
"""How long one may lie idle: on the way to the server somebody may have forgotten it."""

Key = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Kept:
    """A connection that nobody uses, when it was opened and when it was given back."""

    connection: psycopg.Connection[Any]
    opened: float
    returned: float


_idle: dict[Key, list[Kept]] = {}
_lock = threading.Lock()


def _begin_anew() -> None:
    """Have connections of one's own: psycopg leaves those of the parent as they are."""
    global _lock
    _lock = threading.Lock()
    _idle.clear()


os.register_at_fork(after_in_child=_begin_anew)

# The stubs leave out what a backend may override.
Base: Any = base.DatabaseWrapper


class DatabaseFeatures(features.DatabaseFeatures):
    """What the server can do where values go beside a statement: it counts them by two bytes."""

    max_query_params = 2**16 - 1


class DatabaseWrapper(Base):
    """A connection that is passed on, and knows when it was ended."""

    features_class = DatabaseFeatures
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
            if is_fresh(kept) and stands(kept.connection):
                self._opened = kept.opened
                return kept.connection
            kept.connection.close()
        self._opened = time.monotonic()
        return super().get_new_connection(conn_params)

    def is_usable(self) -> bool:
        # After an error it is not known what the server remembers of a statement.
        return self.connection is not None and not self.errors_occurred and stands(self.connection)

    def close_pool(self) -> None:
        """Close what is kept, so that a database can be dropped or copied."""
        super().close_pool()
        while (kept := _take(self._key)) is not None:
            kept.connection.close()

    def _close(self) -> Any:
        if self.connection is not None and self._is_fit() and self._keep():
            return None
        return super()._close()

    def _keep(self) -> bool:
        """Leave the connection to whoever is next. Return False where enough are left."""
        with _lock:
            kept = _idle.setdefault(self._key, [])
            if len(kept) < MOST_IDLE:
                kept.append(Kept(self.connection, self._opened, time.monotonic()))
                return True
        return False

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


def is_fresh(kept: Kept) -> bool:
    """Say whether a connection is neither too old nor forgotten."""
    now = time.monotonic()
    return now - kept.opened < LONGEST_SECONDS and now - kept.returned < IDLE_SECONDS


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
