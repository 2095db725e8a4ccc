"""Thousands of rows written at once, without an object of the model for each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import AutoField, Field, JSONField, Model

_encoded = json.JSONEncoder().encode


def insert_rows(
    model: type[Model], names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> Sequence[int]:
    """Write rows, and return their numbers in the same order where the database numbers them.

    A row has the values of the columns `names`, as the database takes them; JSON is encoded here.
    Whatever is not named has its field's default. As with `bulk_create`, nothing is validated and
    no signal is sent; the constraints of the database hold.
    """
    given = list(zip(*rows, strict=True))
    if not given:
        return []
    meta, count = model._meta, len(given[0])
    fields: list[Field[Any, Any]] = [meta.get_field(name) for name in names]  # type: ignore[misc]
    columns: list[Iterable[Any]] = [
        map(_encoded, values) if isinstance(field, JSONField) else values
        for field, values in zip(fields, given, strict=True)
    ]
    numbers: Sequence[int] = []
    with transaction.atomic(), connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        for field in meta.concrete_fields:
            if field in fields:
                continue
            fields.append(field)
            if isinstance(field, AutoField):
                numbers = _numbers(cursor, field, count)
                columns.append(numbers)
            else:
                columns.append(_defaults(field, count))
        _write(cursor, fields, zip(*columns, strict=False))
    return numbers


def _defaults(field: Field[Any, Any], count: int) -> Iterable[Any]:
    connection = connections[DEFAULT_DB_ALIAS]
    if isinstance(field, JSONField) and field.has_default():  # made anew for each object only
        return repeat(_encoded(field.get_default()))
    if field.has_default() and callable(field.default):
        defaults = (field.get_default() for _ in range(count))
        return [field.get_db_prep_save(one, connection) for one in defaults]
    default = field.pre_save(field.model(), add=True)  # now, where that is added
    return repeat(field.get_db_prep_save(default, connection))


def _numbers(cursor: CursorWrapper, key: AutoField[Any, Any], count: int) -> Sequence[int]:
    """Take the next numbers of a table."""
    table = key.model._meta.db_table
    if connections[DEFAULT_DB_ALIAS].vendor == "postgresql":
        # Its name is looked up once: beside `nextval` it would be for every row.
        cursor.execute(
            "WITH sequence AS MATERIALIZED"
            " (SELECT pg_get_serial_sequence(%s, %s)::regclass AS name)"
            " SELECT nextval(name) FROM sequence, generate_series(1, %s)",
            [_quoted(table), key.column, count],
        )
        return [number for (number,) in cursor.fetchall()]
    # The transaction keeps every other writer out.
    cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
    (last,) = cursor.fetchone() or (0,)
    return range(last + 1, last + count + 1)


def _write(
    cursor: CursorWrapper, fields: Sequence[Field[Any, Any]], rows: Iterable[tuple[Any, ...]]
) -> None:
    connection = connections[DEFAULT_DB_ALIAS]
    table = _quoted(fields[0].model._meta.db_table)
    names = ", ".join(_quoted(field.column) for field in fields)
    if connection.vendor == "postgresql":
        with (
            connection.wrap_database_errors,
            cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)
    else:
        into, places = f"INSERT INTO {table} ({names})", ", ".join(["%s"] * len(fields))
        cursor.executemany(f"{into} VALUES ({places})", list(rows))


def _quoted(name: str | None) -> str:
    assert name is not None
    return str(connections[DEFAULT_DB_ALIAS].ops.quote_name(name))
