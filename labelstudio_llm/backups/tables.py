"""Every row of every table as lines of JSON, the same on SQLite and PostgreSQL.

A line is a list of the values of one row, in the order of the table's columns. What counts for the
hash of a table is each line with the keys of its objects in order: PostgreSQL does not keep the
order in which they came.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import BinaryField, Field, JSONField, Model

Table = type[Model]
ROWS_AT_ONCE = 1000
MADE_BY_MIGRATE = ("django_content_type", "auth_permission")
"""Tables that are filled in an installation in which nobody has done anything."""


def tables() -> list[Table]:
    """Return every table of the installation, by name."""
    found = apps.get_models(include_auto_created=True)
    own = {model for model in found if model._meta.managed and not model._meta.proxy}
    return sorted(own, key=name_of)


def name_of(table: Table) -> str:
    """Return a table's name in the database."""
    return str(table._meta.db_table)


def columns(table: Table) -> list[Field[Any, Any]]:
    """Return the columns that are written: not those that the database reckons itself."""
    return [field for field in table._meta.local_concrete_fields if not field.generated]


def schema() -> list[str]:
    """Return the migrations that end in the tables that this code knows."""
    graph = MigrationExecutor(connection).loader.graph
    return sorted(f"{app}.{name}" for app, name in graph.leaf_nodes())


def is_up_to_date() -> bool:
    """Return whether the database has the tables that this code knows."""
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


@contextmanager
def one_state() -> Iterator[None]:
    """Let everything that is read inside be of one moment, while others go on writing."""
    if connection.vendor == "sqlite":
        # Not a transaction of Django's, which would keep everybody else from writing.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        without_limits()
        yield


def without_limits() -> None:
    """Let this transaction take as long as it takes."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")


@dataclass
class Digest:
    """How many rows went by, and what they were."""

    rows: int = 0

    def __post_init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, row: list[Any]) -> None:
        self.rows += 1
        self._sha256.update(to_line(row, sort_keys=True))

    def to_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "sha256": self._sha256.hexdigest()}


def rows_of(table: Table) -> Iterator[list[Any]]:
    """Yield a table's rows as they go into a line, in order."""
    names = [field.attname for field in columns(table)]
    found = table._base_manager.order_by("pk").values_list(*names)
    for row in found.iterator(chunk_size=ROWS_AT_ONCE):
        yield list(row)


def digest_of(table: Table) -> dict[str, Any]:
    """Return how many rows a table has, and their hash."""
    digest = Digest()
    for row in rows_of(table):
        digest.add(row)
    return digest.to_dict()


def to_line(row: list[Any], *, sort_keys: bool = False) -> bytes:
    """Return a row as a line of JSON."""
    text = json.dumps(
        row, ensure_ascii=False, separators=(",", ":"), default=_in_words, sort_keys=sort_keys
    )
    return text.encode() + b"\n"


def _in_words(value: Any) -> str:
    """Return a value of which JSON knows nothing as a text that its field reads again."""
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode("ascii")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _from_words(field: Field[Any, Any], value: Any) -> Any:
    if value is None or isinstance(field, JSONField):
        return value
    if isinstance(field, BinaryField):
        return base64.b64decode(value)
    return field.to_python(value)


def is_empty() -> bool:
    """Return whether nobody has done anything in this installation yet."""
    used = (table for table in tables() if name_of(table) not in MADE_BY_MIGRATE)
    return not any(table._base_manager.exists() for table in used)


@contextmanager
def rows_as_given() -> Iterator[None]:
    """Let rows be removed and written without what the database does or refuses by itself.

    Foreign keys and other constraints hold all the same. It is for use in a transaction.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = cursor.fetchall()
            for name, _ in triggers:
                cursor.execute(f"DROP TRIGGER {quoted(name)}")
            yield
            for _, sql in triggers:
                cursor.execute(sql)
            return
        for table in tables():
            cursor.execute(f"ALTER TABLE {quoted(name_of(table))} DISABLE TRIGGER USER")
        yield
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # or the tables can't be altered
        for table in tables():
            cursor.execute(f"ALTER TABLE {quoted(name_of(table))} ENABLE TRIGGER USER")


def remove_all_rows() -> None:
    """Empty every table."""
    names = [quoted(name_of(table)) for table in tables()]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"TRUNCATE {', '.join(names)}")
        else:
            for name in names:
                cursor.execute(f"DELETE FROM {name}")  # noqa: S608  # a quoted name of ours


def load(table: Table, lines: Iterable[bytes]) -> None:
    """Write rows into a table, each as it was."""
    fields = columns(table)
    names = ", ".join(quoted(str(field.column)) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    sql = f"INSERT INTO {quoted(name_of(table))} ({names}) VALUES ({places})"  # noqa: S608  # ours
    with connection.cursor() as cursor:
        following = iter(lines)
        while chunk := list(islice(following, ROWS_AT_ONCE)):
            rows = [
                [
                    field.get_db_prep_save(_from_words(field, value), connection)
                    for field, value in zip(fields, json.loads(line), strict=True)
                ]
                for line in chunk
            ]
            cursor.executemany(sql, rows)


def count_on() -> None:
    """Let new rows be numbered behind those that were written."""
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), tables()):
            cursor.execute(sql)


def quoted(name: str) -> str:
    """Return a name as it stands in SQL."""
    return str(connection.ops.quote_name(name))
