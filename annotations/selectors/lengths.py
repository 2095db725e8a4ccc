"""How long texts are."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models.functions import Length

from annotations.models import Completion

AT_ONCE = 5_000
"""SQLite takes no 40,000 numbers in one question."""


def lengths_of(completions: Iterable[int]) -> dict[int, int]:
    """Return the characters of each completion."""
    ids, found = sorted(set(completions)), dict[int, int]()
    for start in range(0, len(ids), AT_ONCE):
        some = Completion.objects.filter(id__in=ids[start : start + AT_ONCE])
        found |= dict(some.annotate(length=Length("text")).values_list("id", "length"))
    return found
