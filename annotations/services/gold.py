"""Items with a known answer, which check how people judge."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F

from annotations.models import Annotation, Item, Kind, in_force
from annotations.services.rules import ServiceError, lock

GOLD_OVERLAP = 10_000
"""How many people a gold item can check."""

GOLD_KINDS = (Kind.COMPARISON, Kind.RANKING, Kind.RATING)


@transaction.atomic
def make_gold(annotation: Annotation) -> Item:
    """Return a gold item that asks the same question and knows this annotation as its answer.

    It shows the same texts, so that nobody who had the question before is asked it again. A
    question has one gold item: asking for another answer changes what is known.
    """
    source = annotation.item
    lock(source.project)
    if not Annotation.objects.filter(in_force(), id=annotation.pk).exists():
        raise ServiceError("This answer was changed or taken back. Open the item again.")
    gold = _known_answer(annotation)
    same = source.project.items.filter(
        purpose=Item.Purpose.GOLD, kind=source.kind, prompt=source.prompt
    )
    shown = sorted(source.completions.values_list("id", flat=True))
    for item in same.prefetch_related("completions"):
        if sorted(completion.pk for completion in item.completions.all()) == shown:
            item.gold = gold
            item.save(update_fields=["gold"])
            return item
    item = Item.objects.create(
        project=source.project,
        kind=source.kind,
        prompt=source.prompt,
        purpose=Item.Purpose.GOLD,
        overlap=GOLD_OVERLAP,
        open_slots=GOLD_OVERLAP,
        fingerprint=source.fingerprint,
        rating_scheme=source.rating_scheme,
        gold=gold,
    )
    item.completions.add(*shown)
    return item


def _known_answer(annotation: Annotation) -> dict[str, Any]:
    """Return what an annotation says, by the ids of completions: everyone sees another order."""
    match Kind(annotation.kind):
        case Kind.COMPARISON:
            comparison = annotation.comparison
            return {
                "left": comparison.left_id,
                "right": comparison.right_id,
                "outcome": comparison.outcome,
                "strength": comparison.strength,
            }
        case Kind.RANKING:
            tiers: dict[int, list[int]] = {}
            for entry in annotation.ranking.entries.all():
                tiers.setdefault(entry.tier, []).append(entry.completion_id)
            return {"tiers": [tiers[tier] for tier in sorted(tiers)]}
        case Kind.RATING:
            answers: dict[str, dict[str, int]] = {}
            for answer in annotation.rating.answers.all():
                answers.setdefault(str(answer.completion_id), {})[answer.question] = answer.value
            return {"answers": answers}
        case kind:
            raise ServiceError(
                f"What people write cannot be checked against a known answer, so a {kind.value} "
                "makes no gold item. Choose a comparison, a ranking or a rating."
            )


@transaction.atomic
def retire_gold(item: Item) -> Item:
    """Ask nobody a gold item any more. Who holds it may still answer; what was said stays."""
    retired = Item.objects.filter(id=item.pk, purpose=Item.Purpose.GOLD, open_slots__gt=0)
    if not retired.update(overlap=F("overlap") - F("open_slots"), open_slots=0):
        raise ServiceError("This gold item is retired already, or is none.")
    item.refresh_from_db()
    return item
