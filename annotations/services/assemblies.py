"""Putting an answer together from parts of several, and polishing it."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations.algorithms import parts as algorithm
from annotations.algorithms.text import MAX_COMPLETION_CHARS, unix_newlines
from annotations.models import Annotation, Assembly, AssemblyPart, Assignment, Completion, Kind
from annotations.services.review_items import ask_for_review
from annotations.services.rules import ServiceError, check
from annotations.services.submissions import annotate, expect_kind, handed_in, write_text

Span = tuple[int, int, int]
"""Completion id, first character, first character after."""

MOST_PARTS = 500


@transaction.atomic
def submit_assembly(
    assignment: Assignment,
    parts: Sequence[Span],
    text: str,
    *,
    reason: str = "",
    correcting: int | None = None,
) -> Annotation:
    """Keep an answer and the parts of the shown completions that it was put together from.

    A second submit changes nothing and answers as the first did.
    """
    if correcting is None and (existing := handed_in(assignment)):
        return existing
    expect_kind(assignment, Kind.ASSEMBLY)
    _check_parts(assignment.shown_order, parts)
    text = check(unix_newlines(text), gettext_noop("Your text"), MAX_COMPLETION_CHARS)
    if not text.strip():
        raise ServiceError(_("Your text is empty. Put the parts together first, then polish them."))
    annotation, created = annotate(assignment, reason, correcting=correcting)
    if created:
        assembly = Assembly.objects.create(
            annotation=annotation, completion=write_text(annotation, text)
        )
        AssemblyPart.objects.bulk_create(
            AssemblyPart(assembly=assembly, position=position, source_id=source, start=a, end=z)
            for position, (source, a, z) in enumerate(parts)
        )
        ask_for_review(annotation)
    return annotation


def _check_parts(shown_order: Sequence[int], parts: Sequence[Span]) -> None:
    if not parts:
        raise ServiceError(
            _("No part is chosen. Choose at least one from the texts that are shown.")
        )
    if len(parts) > MOST_PARTS:
        raise ServiceError(
            _("At most %(most)s parts make a text. Choose fewer.") % {"most": MOST_PARTS}
        )
    texts = dict(Completion.objects.filter(id__in=shown_order).values_list("id", "text"))
    for source, start, end in parts:
        if source not in shown_order:
            raise ServiceError(
                _("A part is from a text that this page did not show. Open it again.")
            )
        if not 0 <= start < end <= len(texts[source]) or not texts[source][start:end].strip():
            raise ServiceError(
                _("A part lies outside its text or is blank. Choose the parts again.")
            )
    if algorithm.overlap(parts):
        raise ServiceError(_("Two parts overlap, or one is there twice. Choose each only once."))
