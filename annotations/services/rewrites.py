"""Making a completion better. The original stays as it was."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations.algorithms.text import MAX_COMPLETION_CHARS, unix_newlines
from annotations.models import Annotation, Assignment, Completion, Kind, Rewrite
from annotations.services.review_items import ask_for_review
from annotations.services.rules import ServiceError, check
from annotations.services.submissions import annotate, expect_kind, handed_in, write_text
from annotations.services.tickets import rewritten


@transaction.atomic
def submit_rewrite(
    assignment: Assignment, text: str, *, reason: str = "", correcting: int | None = None
) -> Annotation:
    """Keep a better version of the completion that was shown.

    A second submit changes nothing and answers as the first did.
    """
    if correcting is None and (existing := handed_in(assignment)):
        return existing
    expect_kind(assignment, Kind.REWRITE)
    original = Completion.objects.get(id=assignment.shown_order[0])
    text = check_new_text(text, original.text)
    annotation, created = annotate(assignment, reason, correcting=correcting)
    if created:
        completion = write_text(annotation, text)
        Rewrite.objects.create(annotation=annotation, original=original, completion=completion)
        ask_for_review(annotation)
        rewritten(annotation)
    return annotation


def check_new_text(text: str, original: str) -> str:
    """Return a text that replaces another as it is stored, or say why it does not."""
    text = check(unix_newlines(text), gettext_noop("Your text"), MAX_COMPLETION_CHARS)
    if not text.strip():
        raise ServiceError(_("Your text is empty. Write the better version, or skip this one."))
    if text.strip() == unix_newlines(original).strip():
        raise ServiceError(
            _(
                "Your text is the original, unchanged. Change what makes it better, or skip "
                "this one if nothing does."
            )
        )
    return text
