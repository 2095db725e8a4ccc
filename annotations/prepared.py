"""Queries that are put together once and asked many times.

Putting a query together takes Django longer than the database takes to answer it, and the path
from one item to the next asks some twenty. These are written as any other query, with a `Slot`
where a value will stand; what the compiler has made of one is kept, and only its values change.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet, Value
from django.db.models.sql.compiler import SQLCompiler

Row = TypeVar("Row")
Given = int | str | datetime

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


class _Compiled(Generic[Row]):
    """A query with the statement that the compiler has made of it."""

    def __init__(self, queryset: QuerySet[Any, Row]) -> None:
        self._queryset = queryset
        self._query = queryset.query
        self._compiler = self._query.get_compiler(DEFAULT_DB_ALIAS)
        self._statement, self._parameters = self._compiler.as_sql()
        columns = [column for column, *_ in self._compiler.select[: self._compiler.col_count]]
        self._converters = self._compiler.get_converters(columns)

    def rows(self, values: dict[str, Given]) -> list[Row]:
        connection = connections[DEFAULT_DB_ALIAS]
        parameters = tuple(
            _written(values[one.name], connection) if isinstance(one, _Place) else one
            for one in self._parameters
        )
        # A compiler belongs to the connection of a thread, so each call has its own.
        compiler = copy.copy(self._compiler)
        compiler.connection = connection
        vars(compiler).update(
            as_sql=lambda *_, **__: (self._statement, parameters),
            get_converters=lambda _: self._converters,
        )
        asked: QuerySet[Any, Row] = object.__new__(type(self._queryset))
        vars(asked).update(vars(self._queryset), _query=_Asked(self._query, compiler))
        return list(asked)


def _written(value: Given, connection: BaseDatabaseWrapper) -> Any:
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value


class _Asked:
    """A query that has its compiler already, as far as reading rows needs to know."""

    def __init__(self, query: Any, compiler: SQLCompiler) -> None:
        self._query = query
        self._compiler = compiler

    def get_compiler(self, *_: object, **__: object) -> SQLCompiler:
        return self._compiler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._query, name)
