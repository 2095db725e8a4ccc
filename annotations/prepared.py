"""Statements that are put together once and sent many times.

Putting a statement together takes Django longer than the database takes to answer it, and the path
from one item to the next sends some twenty. Queries and updates are written as any other, with a
`Slot` where a value will stand; what the compiler has made of one is kept, and only its values
change. `insert` writes one row, as `save` would.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import AutoField, Field, Model, QuerySet, Value
from django.db.models.expressions import Col
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    ValuesListIterable,
    get_related_populators,
)
from django.db.models.sql import UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

Row = TypeVar("Row")
Given = int | str | datetime | Mapping[str, Any]

KEPT = 1024
"""How many forms of one query are kept: those used last."""

LARGEST = 2**63 - 1
"""No database has a larger number, and SQLite can't even be asked for one."""


class Slot(Value):
    """A place in a query for a value that is given each time the query is asked."""

    def as_sql(self, compiler: SQLCompiler, connection: object) -> tuple[str, Any]:
        return "%s", [_Place(self.value)]


class _Place:
    """What the compiled query has among its parameters where a value belongs."""

    def __init__(self, name: str) -> None:
        self.name = name


class Prepared(Generic[Row]):
    """A query of which `build` makes the forms: `Prepared(build, "user")(*form, user=3)`.

    `build` gets the form (whatever changes the statement itself) and then a slot by each name.
    Rows are read anew with each call.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Row]], *names: str) -> None:
        self._build = build
        self._slots = {name: Slot(name) for name in names}
        self._form = lru_cache(maxsize=KEPT)(self._compile)

    def __call__(self, *form: Hashable, **values: Given) -> list[Row]:
        """Return all rows of the query in this form, with these values."""
        if any(isinstance(value, int) and abs(value) > LARGEST for value in values.values()):
            return []
        compiled = self._form(*form)
        return [] if compiled is None else compiled.rows(values)

    def first(self, *form: Hashable, **values: Given) -> Row | None:
        """Return the first row; the query itself has to say that it wants no more."""
        rows = self(*form, **values)
        return rows[0] if rows else None

    def _compile(self, *form: Hashable) -> _Compiled[Row] | None:
        try:
            return _Compiled(self._build(*form, **self._slots))
        except EmptyResultSet:  # a form that nothing can be true of
            return None


class PreparedUpdate:
    """A change of rows: `PreparedUpdate(build, "item")(*form, item=3)`.

    `build` gets the form and a slot by each name, and says which rows become what. Answered are
    the changed rows, each with the values of `returning` after the change.
    """

    def __init__(
        self,
        build: Callable[..., tuple[QuerySet[Any], Mapping[str, Any]]],
        *names: str,
        returning: tuple[str, ...] = ("pk",),
    ) -> None:
        self._build = build
        self._slots = {name: Slot(name) for name in names}
        self._returning = returning
        self._form = lru_cache(maxsize=KEPT)(self._compile)

    def __call__(self, *form: Hashable, **values: Given) -> list[tuple[Any, ...]]:
        """Change the rows, and return them."""
        statement, parameters, compiler, converters = self._form(*form)
        connection = connections[DEFAULT_DB_ALIAS]
        with connection.cursor() as cursor:
            cursor.execute(statement, _filled(parameters, values, connection))
            rows = cursor.fetchall()
        if not converters:
            return rows
        return [tuple(row) for row in compiler.apply_converters(rows, converters)]

    def _compile(self, *form: Hashable) -> tuple[str, tuple[Any, ...], SQLCompiler, dict[int, Any]]:
        rows, changes = self._build(*form, **self._slots)
        query = rows.query.chain(UpdateQuery)
        assert isinstance(query, UpdateQuery)
        query.add_update_values(dict(changes))
        compiler = query.get_compiler(DEFAULT_DB_ALIAS)
        statement, parameters = compiler.as_sql()
        meta = rows.model._meta
        fields = [meta.pk if name == "pk" else meta.get_field(name) for name in self._returning]
        statement += f" RETURNING {', '.join(map(_column, fields))}"
        converters = compiler.get_converters([Col(meta.db_table, field) for field in fields])
        return statement, parameters, compiler, converters


def insert(row: Model, *, unless_there: bool = False) -> bool:
    """Write a new row, as `save` does; return False where `unless_there` and it is there already.

    There already is what a unique constraint does not let in a second time.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    statement, fields = _insertion(type(row), unless_there)
    values = [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields]
    with transaction.mark_for_rollback_on_error(DEFAULT_DB_ALIAS), connection.cursor() as cursor:
        cursor.execute(statement, values)
        written = cursor.fetchone()
    if written is None:
        return False
    row.pk = written[0]
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS
    return True


@lru_cache(maxsize=KEPT)
def _insertion(model: type[Model], unless_there: bool) -> tuple[str, list[Field[Any, Any]]]:
    meta = model._meta
    fields = [field for field in meta.concrete_fields if not isinstance(field, AutoField)]
    table = connections[DEFAULT_DB_ALIAS].ops.quote_name(meta.db_table)
    places = ", ".join(["%s"] * len(fields))
    ignoring = " ON CONFLICT DO NOTHING" if unless_there else ""
    into = f"INSERT INTO {table} ({', '.join(map(_column, fields))})"
    return f"{into} VALUES ({places}){ignoring} RETURNING {_column(meta.pk)}", fields


def _column(field: Field[Any, Any]) -> str:
    name = field.column
    assert name is not None
    return connections[DEFAULT_DB_ALIAS].ops.quote_name(name)


class _Compiled(Generic[Row]):
    """A query with the statement that the compiler has made of it, and how its rows are read.

    They are read as `ModelIterable` and its like read them, which find out anew each time how.
    """

    def __init__(self, queryset: QuerySet[Any, Row]) -> None:
        self._compiler = queryset.query.get_compiler(DEFAULT_DB_ALIAS)
        self._statement, self._parameters = self._compiler.as_sql()
        columns = [column for column, *_ in self._compiler.select[: self._compiler.col_count]]
        self._converters = self._compiler.get_converters(columns)
        self._read = READERS[queryset._iterable_class](self._compiler)

    def rows(self, values: dict[str, Given]) -> list[Row]:
        connection = connections[DEFAULT_DB_ALIAS]
        with connection.cursor() as cursor:
            cursor.execute(self._statement, _filled(self._parameters, values, connection))
            rows = cursor.fetchall()
        if self._converters:
            rows = self._compiler.apply_converters(rows, self._converters)
        return [self._read(row) for row in rows]


def _objects(compiler: SQLCompiler) -> Callable[[Sequence[Any]], Any]:
    of_class = compiler.klass_info
    model, own = of_class["model"], of_class["select_fields"]
    own_part = slice(own[0], own[-1] + 1)
    names = [column.target.attname for column, *_ in compiler.select[own_part]]
    # The stubs are of a Django to come.
    related = get_related_populators(  # type: ignore[call-arg]
        of_class, compiler.select, DEFAULT_DB_ALIAS
    )
    annotations = list((compiler.annotation_col_map or {}).items())

    def read(row: Sequence[Any]) -> Any:
        found = model.from_db(DEFAULT_DB_ALIAS, names, row[own_part])
        for one in related:
            one.populate(row, found)
        for name, position in annotations:
            setattr(found, name, row[position])
        return found

    return read


READERS: dict[type, Callable[[SQLCompiler], Callable[[Sequence[Any]], Any]]] = {
    ModelIterable: _objects,
    ValuesListIterable: lambda _: tuple,
    FlatValuesListIterable: lambda _: itemgetter(0),
}


def _filled(
    parameters: tuple[Any, ...], values: Mapping[str, Given], connection: BaseDatabaseWrapper
) -> tuple[Any, ...]:
    return tuple(
        _written(values[one.name], connection) if isinstance(one, _Place) else one
        for one in parameters
    )


def _written(value: Given, connection: BaseDatabaseWrapper) -> Any:
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, Mapping):
        return connection.ops.adapt_json_value(value, None)
    return value
