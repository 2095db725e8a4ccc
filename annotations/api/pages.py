"""Long lists, a page at a time.

Newest first, and a page begins after the last row of the one before: what is added meanwhile
moves nothing, so that no row comes twice and none is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from pydantic import Field, StringConstraints

from annotations.api.operations import DIGITS, LARGEST_ID, Answer, Query
from annotations.selectors.newest import newest

MOST_ROWS = 200

M = TypeVar("M", bound=Model)
T = TypeVar("T")


class Paged(Query):
    """A part of a list."""

    cursor: Annotated[str, StringConstraints(pattern=r"^b[0-9a-f]{1,16}$")] | None = Field(
        None, description="`next` of the page before; leave it out for the first."
    )
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS), DIGITS] = Field(
        50, description="How many rows at most."
    )


class Page(Answer, Generic[T]):
    """One page of a list, newest first."""

    items: list[T]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


def page_of(found: QuerySet[M, Any], query: Paged, shown: Callable[[Any], T]) -> Page[T]:
    """Return the page that was asked for."""
    before = _read(query.cursor) if query.cursor is not None else None
    rows = newest(found, query.limit + 1, before=before)
    following = _write(rows[query.limit - 1].pk) if len(rows) > query.limit else None
    return Page(items=[shown(row) for row in rows[: query.limit]], next=following)


def _write(number: int) -> str:
    return f"b{number:x}"


def _read(cursor: str) -> int:
    return min(int(cursor.removeprefix("b"), 16), LARGEST_ID)
