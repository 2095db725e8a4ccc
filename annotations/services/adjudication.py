"""Deciding about items on which people disagree."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from annotations.algorithms.text import MAX_REASON_CHARS, unix_newlines
from annotations.models import (
    Adjudication,
    Annotation,
    Comparison,
    Item,
    Kind,
    RankedCompletion,
    Ranking,
    Retraction,
    User,
    in_force,
)
from annotations.selectors.adjudication import bits_open, decided, may_decide, order_for
from annotations.selectors.guidelines import guideline_in_force
from annotations.services.ratings import Answers, check_answers, write_rating
from annotations.services.rules import ServiceError, check
from annotations.services.submissions import check_judgement


@transaction.atomic
def adjudicate_comparison(
    item: Item, user: User, outcome: str, strength: str = "", *, reason: str
) -> Annotation:
    """Decide which of two completions is better, as `order_for` shows them to this person."""
    _expect(item, Kind.COMPARISON)
    check_judgement(outcome, strength)
    reference = _decide(item, user, reason)
    left, right = reference.shown_order
    Comparison.objects.create(
        annotation=reference, left_id=left, right_id=right, outcome=outcome, strength=strength
    )
    return reference


@transaction.atomic
def adjudicate_ranking(
    item: Item, user: User, tiers: Sequence[Sequence[int]], *, reason: str
) -> Annotation:
    """Decide about a ranking: tiers of completion ids, best first."""
    _expect(item, Kind.RANKING)
    ranked = [completion for tier in tiers for completion in tier]
    if sorted(ranked) != sorted(order_for(item, user)) or not all(tiers):
        raise ServiceError("Give every completion a place, each exactly once.")
    reference = _decide(item, user, reason)
    ranking = Ranking.objects.create(annotation=reference)
    RankedCompletion.objects.bulk_create(
        RankedCompletion(ranking=ranking, completion_id=completion, tier=number)
        for number, tier in enumerate(tiers)
        for completion in tier
    )
    return reference


@transaction.atomic
def adjudicate_rating(item: Item, user: User, answers: Answers, *, reason: str) -> Annotation:
    """Decide about a rating: the answers to the item's questions about each completion."""
    _expect(item, Kind.RATING)
    scheme = item.rating_scheme
    assert scheme is not None  # a constraint of rating items
    check_answers(scheme.questions, order_for(item, user), answers)
    reference = _decide(item, user, reason)
    write_rating(reference, scheme, answers)
    return reference


@transaction.atomic
def withdraw_adjudication(item: Item, *, by: User | None = None) -> None:
    """Take the decision about an item back, if it is by this person; without one, anybody's.

    The votes count as they did, and the item waits for another decision.
    """
    decisions = decided(item.project).filter(item=item)
    decision = (decisions if by is None else decisions.filter(reference__annotator=by)).first()
    if decision is None:
        raise ServiceError("There is no decision of yours about this item.")
    Annotation.objects.select_for_update().get(id=decision.pk)
    if not Adjudication.objects.filter(in_force("reference__"), pk=decision.pk).exists():
        raise ServiceError("This decision was taken back already, or followed by another.")
    Retraction.objects.create(annotation_id=decision.pk)


def _expect(item: Item, kind: Kind) -> None:
    if item.kind != kind:
        raise ServiceError(f"This item asks for a {item.kind}, not a {kind.value}. Open it again.")


def _decide(item: Item, user: User, reason: str) -> Annotation:
    """Return a new reference annotation, without its payload."""
    reason = check(unix_newlines(reason), "Your reason", MAX_REASON_CHARS)
    if not reason.strip():
        raise ServiceError("Say why; those who disagreed may learn from it.")
    Item.objects.select_for_update(no_key=True).get(id=item.pk)
    if not may_decide(item, user):
        raise ServiceError("You have a part in what was said here. Leave it to somebody else.")
    others = Adjudication.objects.filter(in_force("reference__"), item=item)
    if others.exclude(reference__annotator=user).exists():
        raise ServiceError("Somebody else has decided about this item meanwhile. Take the next.")
    bits = bits_open(item)
    if not bits:
        raise ServiceError("Nobody disagrees about this item any more. Take the next.")
    reference = Annotation.objects.create(
        item=item,
        annotator=user,
        kind=item.kind,
        guideline_version=guideline_in_force(item.project, item.kind),
        shown_order=order_for(item, user),
        reason=reason,
        # Of a decision that was changed or taken back before.
        supersedes=item.annotations.filter(annotator=user).order_by("id").last(),
    )
    Adjudication.objects.create(reference=reference, item=item, open_bits=bits)
    return reference
