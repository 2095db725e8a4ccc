"""Django's SQLite, whose writers wait in line.

SQLite lets who meets a locked database sleep and look again, for up to a tenth of a second at a
time. Of many that write at once the unlucky ones then wait for seconds, while the database stands
idle between two looks. In line, each begins when the one before it is done: the threads of a
process one after the other, and one thread of each process by a lock that dies with its process.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import defaultdict
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

_lines: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""The line of this process for each database file."""


# The stubs leave out what a backend may override.
Base: Any = base.DatabaseWrapper


class DatabaseWrapper(Base):
    """A connection whose transactions begin in turn."""

    _turn: tuple[threading.Lock, int] | None = None

    def _start_transaction_under_autocommit(self) -> None:
        if not self.is_in_memory_db():
            self._wait_in_line()
        try:
            super()._start_transaction_under_autocommit()
        except BaseException:
            self._leave()
            raise

    def _commit(self) -> Any:
        try:
            return super()._commit()
        finally:
            self._leave()

    def _rollback(self) -> Any:
        try:
            return super()._rollback()
        finally:
            self._leave()

    def _close(self) -> Any:
        try:
            return super()._close()
        finally:
            self._leave()

    def _wait_in_line(self) -> None:
        path = str(self.settings_dict["NAME"])
        line = _lines[path]
        if not line.acquire(timeout=self.settings_dict["OPTIONS"].get("timeout", 5)):
            raise OperationalError("database is locked")
        try:
            file = os.open(f"{path}-line", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except BaseException:
            line.release()
            raise
        self._turn = (line, file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        if self._turn is not None:
            line, file = self._turn
            self._turn = None
            os.close(file)
            line.release()
