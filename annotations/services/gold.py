"""Items with a known answer, which check how people judge."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F

from annotations.models import EVALUATION, Annotation, Item, Kind, in_force
from annotations.selectors.guidelines import guideline_in_force
from annotations.selectors.screening import SCREENED, UNSERVED
from annotations.services.rules import ServiceError, lock

GOLD_OVERLAP = 10_000
"""How many people a gold item can check."""

MOST_OVERLAP = 32_767
"""The most that the column holds."""

GOLD_KINDS = SCREENED


@transaction.atomic
def make_gold(annotation: Annotation) -> Item:
    """Return a gold item that asks the same question and knows this annotation as its answer.

    It shows the same texts, so that nobody who had the question before is asked it again. A
    question has one gold item: asking for another answer changes what is known. Ratings of the
    same texts by other questions are other questions.

    Of what people write the known answer is an example, which no other can be held against; of a
    review it would decide again about somebody's work. Both are asked in tests alone, and never
    handed out.
    """
    source = annotation.item
    lock(source.project)
    if not Annotation.objects.filter(in_force(), id=annotation.pk).exists():
        raise ServiceError("This answer was changed or taken back. Open the item again.")
    gold = _known_answer(annotation) | _known_by(annotation)
    is_served = source.kind not in UNSERVED
    overlap = GOLD_OVERLAP if is_served else 1
    same = source.project.items.filter(
        purpose=Item.Purpose.GOLD, kind=source.kind, prompt=source.prompt, subject=source.subject
    )
    if source.kind == Kind.RATING:
        same = same.filter(rating_scheme=source.rating_scheme)
    shown = sorted(source.completions.values_list("id", flat=True))
    for item in same.prefetch_related("completions"):
        if sorted(completion.pk for completion in item.completions.all()) == shown:
            item.gold = gold
            item.save(update_fields=["gold"])
            _ask_again(item)
            return item
    item = Item.objects.create(
        project=source.project,
        kind=source.kind,
        prompt=source.prompt,
        purpose=Item.Purpose.GOLD,
        overlap=overlap,
        open_slots=overlap if is_served else 0,
        fingerprint=source.fingerprint,
        subject=source.subject,
        rating_scheme=source.rating_scheme,
        gold=gold,
    )
    item.completions.add(*shown)
    return item


def _ask_again(item: Item) -> None:
    """Open a gold item that was retired, or that checked as many people as it could."""
    if item.kind in UNSERVED:
        Item.objects.filter(id=item.pk, overlap=0).update(overlap=1)
    else:
        closed = Item.objects.filter(id=item.pk, open_slots=0)
        room = closed.filter(overlap__lte=MOST_OVERLAP - GOLD_OVERLAP)
        opened = room.update(overlap=F("overlap") + GOLD_OVERLAP, open_slots=GOLD_OVERLAP)
        if not opened and closed.exists():
            raise ServiceError(
                f"Item {item.pk} asks this already and has checked as many people as a gold item "
                "can. Choose another question."
            )
    item.refresh_from_db()


def _known_by(annotation: Annotation) -> dict[str, str]:
    """Return that an answer is known by the guidelines for evaluations, if it is."""
    version = annotation.guideline_version
    if version is None or not version.is_for_evaluation:
        return {}
    now = guideline_in_force(version.project, EVALUATION)
    if now is None or now.is_taken_back:
        raise ServiceError(
            "This answer was given by guidelines for evaluations, which are out of use. Choose an "
            "answer to something else."
        )
    return {"guidelines": EVALUATION}


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
            if len(tiers) < 2:
                raise ServiceError(
                    "This ranking ties everything, so as gold it would ask nothing. Choose one "
                    "that puts a completion before another."
                )
            return {"tiers": [tiers[tier] for tier in sorted(tiers)]}
        case Kind.RATING:
            if annotation.rating.scheme_id != annotation.item.rating_scheme_id:
                raise ServiceError(
                    "This rating answers other questions than its item asks. Choose one that "
                    "answers those of the item."
                )
            answers: dict[str, dict[str, int]] = {}
            for answer in annotation.rating.answers.all():
                answers.setdefault(str(answer.completion_id), {})[answer.question] = answer.value
            return {"answers": answers}
        case Kind.REVIEW:
            return {"decision": annotation.review.decision}
        case Kind.DEMONSTRATION:
            return {"text": annotation.demonstration.completion.text}
        case Kind.REWRITE:
            return {"text": annotation.rewrite.completion.text}
        case Kind.ASSEMBLY:
            return {"text": annotation.assembly.completion.text}
        case kind:
            raise ServiceError(
                f"A {kind.value} cannot be checked against a known answer, so it makes no gold "
                "item. Choose what people judge by themselves, or a text that they wrote."
            )


@transaction.atomic
def retire_gold(item: Item) -> Item:
    """Ask nobody a gold item any more. Who holds it may still answer; what was said stays."""
    gold = Item.objects.filter(id=item.pk, purpose=Item.Purpose.GOLD)
    if item.kind in UNSERVED:
        retired = gold.filter(overlap__gt=0).update(overlap=0)
    else:
        asked = gold.filter(open_slots__gt=0)
        retired = asked.update(overlap=F("overlap") - F("open_slots"), open_slots=0)
    if not retired:
        raise ServiceError("This gold item is retired already, or is none.")
    item.refresh_from_db()
    return item
