"""Votes of the arena, with what speaks against counting them."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count

from annotations.exports.battles import BATTLE_FIELDS, battle_row
from annotations.exports.rows import CHUNK, BattleRow, current
from annotations.models import Comparison, Item

MARKS = "annotation__assignment__battle__marks"


class ArenaRow(BattleRow):
    """A vote, and the reasons (of `Battle.Mark`) for which a leaderboard may leave it out."""

    marks: list[str]


def arena_counts(project_id: int) -> list[tuple[int, int, str, int]]:
    """Return how often (left checkpoint, right checkpoint, outcome) was voted, unless marked."""
    votes = Comparison.objects.filter(
        current("annotation__", project_id),
        annotation__item__purpose=Item.Purpose.ARENA,
        annotation__assignment__battle__marks=[],
    )
    return list(
        votes.order_by()
        .values_list("left__checkpoint_id", "right__checkpoint_id", "outcome")
        .annotate(count=Count("pk"))
    )


def arena_votes(project_id: int) -> Iterator[ArenaRow]:
    """Yield every vote of a project's arena that is in force, by annotation, marked or not."""
    rows = (
        Comparison.objects.filter(
            current("annotation__", project_id),
            annotation__item__purpose=Item.Purpose.ARENA,
            annotation__assignment__battle__isnull=False,
        )
        .order_by("annotation_id")
        .values(*BATTLE_FIELDS, MARKS)
    )
    for row in rows.iterator(chunk_size=CHUNK):
        yield {**battle_row(row), "marks": row[MARKS]}
