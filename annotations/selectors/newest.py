"""The newest rows of one project, where those of all projects lie in one table."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import F, Model, OuterRef, QuerySet

from annotations.selectors.queue import LookedUp

NEAR = 2000
"""Rows of the table, whosever they are, among which the newest of a project are looked for."""

M = TypeVar("M", bound=Model)


def newest(found: QuerySet[M, Any], number: int, *, before: int | None = None) -> list[M]:
    """Return so many rows, newest first, of those made `before` one of them.

    Where another table says whose a row is, a database has two ways, and guesses which is short:
    back through the rows of all projects, which takes seconds where a million of another's are
    newer; or all rows of the project, which takes seconds where it has a million itself. Here the
    first ends after some thousand rows, and the second is gone where those were not enough.
    """
    older = {} if before is None else {"pk__lt": before}
    table = found.model._base_manager.filter(**older).order_by("-pk").values_list("pk", flat=True)
    rows = found.filter(**older)
    if not table[NEAR:].exists():
        return list(rows.order_by("-pk")[:number])
    # They are found by then. What was asked of them, asked again beside their ids, could lead
    # SQLite through all rows of the project once more.
    whole = found.all()
    whole.query.clear_where()
    while True:
        wanted = _newest_ids(rows, table, number)
        there = whole.in_bulk(wanted)
        if len(there) == len(wanted):  # or one was deleted between the two looks
            return [there[pk] for pk in wanted]


def _newest_ids(rows: QuerySet[Any, Any], table: QuerySet[Any, int], number: int) -> list[int]:
    is_wanted = LookedUp(rows.filter(pk=OuterRef("pk")))
    for span in (NEAR, 10 * NEAR):
        edge = table[span : span + 1].first()
        newer = {} if edge is None else {"pk__gt": edge}
        near = list(table.filter(is_wanted, **newer)[:number])
        if edge is None or len(near) == number:
            return near
        if 10 * len(near) < number:
            break
    # A sum is in the order of no index: that closes the way back through all rows.
    gathered = rows.order_by((F("pk") + 0).desc()).values_list("pk", flat=True)
    return list(gathered[:number])
