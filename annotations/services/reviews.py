"""Saying whether what somebody else wrote can be learned from: yes, once mended, or no."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from annotations.models import Annotation, Assignment, Item, Kind, Review, in_force
from annotations.services.review_items import text_of
from annotations.services.rewrites import check_new_text
from annotations.services.rules import ServiceError
from annotations.services.submissions import annotate, expect_kind, handed_in, write_text

Decision = Review.Decision


@transaction.atomic
def submit_review(
    assignment: Assignment,
    decision: str,
    text: str = "",
    *,
    reason: str = "",
    correcting: int | None = None,
) -> Annotation:
    """Keep what a reviewer says about another's text; of a fix also the text as it should be.

    A second submit changes nothing and answers as the first did.
    """
    if correcting is None and (existing := handed_in(assignment)):
        return existing
    expect_kind(assignment, Kind.REVIEW)
    subject = _subject(assignment.item)
    if subject.annotator_id == assignment.annotator_id:
        raise ServiceError(_("This is your own work, which somebody else has to review. Skip it."))
    if decision not in Decision.values:
        raise ServiceError(_("Choose whether you accept the text, fix it or reject it."))
    if decision == Decision.REJECT and not reason.strip():
        raise ServiceError(_("Say why you reject it, so that its author and the owner can learn."))
    if decision == Decision.FIX:
        text = _check_fix(text, subject)
    annotation, created = annotate(assignment, reason, correcting=correcting)
    if created:
        fixed = write_text(annotation, text) if decision == Decision.FIX else None
        Review.objects.create(
            annotation=annotation, subject=subject, decision=decision, completion=fixed
        )
    return annotation


def _subject(item: Item) -> Annotation:
    """Return what is reviewed, if it still is in force."""
    assert item.subject_id is not None  # a constraint of review items
    subject = (
        Annotation.objects.filter(in_force(), id=item.subject_id)
        .select_for_update(of=("self",), no_key=True)
        .first()
    )
    if subject is None:
        raise ServiceError(
            _(
                "Its author has changed or taken back this text since you opened it, so there "
                "is nothing left to review here. Skip it and go on."
            )
        )
    return subject


def _check_fix(text: str, subject: Annotation) -> str:
    written = text_of(subject).text
    if text.strip() == written.strip():
        raise ServiceError(
            _("You chose to fix the text but did not change it. Change it, or accept it.")
        )
    if subject.kind == Kind.REWRITE and text.strip() == subject.rewrite.original.text.strip():
        raise ServiceError(
            _("This is the text from before the rewrite. If that was better, reject the rewrite.")
        )
    return check_new_text(text, written)
