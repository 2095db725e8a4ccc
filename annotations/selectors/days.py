"""The day of a moment, as the database tells it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from django.db.models import CharField, Q
from django.db.models.functions import Cast, Substr


def day_of(moment: str) -> Substr:
    """Return the day (UTC) of a field, as text.

    To make a moment of each of a million texts takes longer than everything else together.
    """
    return Substr(Cast(moment, CharField()), 1, 10)


@cache
def parse_day(text: str) -> date:
    return date.fromisoformat(text)


def between(moment: str, first: date, last: date) -> Q:
    """Return the condition that a field lies on one of the days from the first to the last."""
    start = datetime.combine(first, time(), UTC)
    end = datetime.combine(last + timedelta(days=1), time(), UTC)
    return Q(**{f"{moment}__gte": start, f"{moment}__lt": end})
