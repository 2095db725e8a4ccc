"""Blind comparisons of two checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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


def battles(project_id: int, *batches: str) -> Iterator[BattleRow]:
    """Yield every comparison of evaluations, by annotation."""
    rows = (
        Comparison.objects.filter(
            current("annotation__", project_id),
            annotation__item__batch__in=batches,
            annotation__item__purpose=Item.Purpose.EVALUATION,
        )
        .order_by("annotation_id")
        .values(*BATTLE_FIELDS)
    )
    for row in rows.iterator(chunk_size=CHUNK):
        yield battle_row(row)


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
