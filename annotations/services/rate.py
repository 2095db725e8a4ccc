"""Handing in a rating."""

from __future__ import annotations

from django.db import transaction

from annotations.models import Annotation, Assignment, Kind
from annotations.services.ratings import Answers, check_answers, write_rating
from annotations.services.submissions import annotate, expect_kind, handed_in


@transaction.atomic
def submit_rating(
    assignment: Assignment,
    answers: Answers,
    *,
    reason: str = "",
    correcting: int | None = None,
) -> Annotation:
    """Keep the answers to the item's questions about each completion.

    A second submit changes nothing and answers as the first did.
    """
    if correcting is None and (existing := handed_in(assignment)):
        return existing
    expect_kind(assignment, Kind.RATING)
    scheme = assignment.item.rating_scheme
    assert scheme is not None  # a constraint of rating items
    check_answers(scheme.questions, assignment.shown_order, answers)
    annotation, created = annotate(assignment, reason, correcting=correcting)
    if created:
        write_rating(annotation, scheme, answers)
    return annotation
