"""Blind comparisons of two checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from django.db.models import QuerySet

from annotations.exports.rows import CHUNK, BattleRow, current, pseudonym
from annotations.models import Comparison, Item

BATTLE_FIELDS = (
    "annotation_id",
    "annotation__item_id",
    "annotation__item__prompt_id",
    "annotation__annotator_id",
    "left__checkpoint_id",
    "right__checkpoint_id",
    "outcome",
    "strength",
)
SIDES = ("left__checkpoint_id", "right__checkpoint_id", "outcome")


class EvaluationVote(NamedTuple):
    """What somebody thought of two answers of an evaluation. Who it was does not matter here."""

    batch: str
    prompt_id: int
    left_checkpoint_id: int | None
    right_checkpoint_id: int | None
    outcome: str


def evaluation_votes(project_id: int, batches: Collection[str]) -> list[EvaluationVote]:
    """Return every vote of some evaluations, by annotation, in one query however many they are."""
    fields = ("annotation_id", "annotation__item__batch", "annotation__item__prompt_id", *SIDES)
    # Sorted here: asked for in order, the database begins with all comparisons there are.
    rows = sorted(_votes(project_id, batches).order_by().values_list(*fields))
    return [EvaluationVote(*row[1:]) for row in rows]


def battles(project_id: int, *batches: str) -> Iterator[BattleRow]:
    """Yield every comparison of evaluations, by annotation."""
    rows = _votes(project_id, batches).values(*BATTLE_FIELDS)
    for row in rows.iterator(chunk_size=CHUNK):
        yield battle_row(row)


def _votes(project_id: int, batches: Collection[str]) -> QuerySet[Comparison]:
    found = Comparison.objects.filter(
        current("annotation__", project_id),
        annotation__item__batch__in=batches,
        annotation__item__purpose=Item.Purpose.EVALUATION,
    )
    return found.order_by("annotation_id")


def battle_row(row: dict[str, Any]) -> BattleRow:
    """Return what BATTLE_FIELDS of a comparison say, under a pseudonym."""
    return {
        "annotation_id": row["annotation_id"],
        "item_id": row["annotation__item_id"],
        "prompt_id": row["annotation__item__prompt_id"],
        "annotator": pseudonym(row["annotation__annotator_id"]),
        "left_checkpoint_id": row["left__checkpoint_id"],
        "right_checkpoint_id": row["right__checkpoint_id"],
        "outcome": row["outcome"],
        "strength": row["strength"],
    }
