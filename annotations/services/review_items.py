"""Which work somebody else looks at. Review items are made and taken back here."""

from __future__ import annotations

import hashlib

from django.db.models import F

from annotations.algorithms.fingerprints import fingerprint_of
from annotations.algorithms.review_sampling import review_chance
from annotations.models import (
    WRITTEN_KINDS,
    Annotation,
    Completion,
    Item,
    Kind,
    Review,
    in_force,
)


def ask_for_review(annotation: Annotation) -> Item | None:
    """Make an item to review a written text, for the project's share of them. Once is enough.

    The share is decided by a hash of the annotation's id: by no chance, so that doing it again
    decides alike, and by nothing that its author could know or change.
    """
    if annotation.kind not in WRITTEN_KINDS:
        return None
    if existing := Item.objects.filter(subject=annotation).first():
        return existing
    project = annotation.item.project
    written, prompt = text_of(annotation), annotation.item.prompt
    percent = project.review_percent
    if percent and project.review_by_risk:
        percent = _by_risk(annotation, written.text, percent)
    if not is_drawn(annotation.pk, percent):
        return None
    item = Item.objects.create(
        project=project,
        kind=Kind.REVIEW,
        prompt=prompt,
        subject=annotation,
        review_chance=percent / 100,
        fingerprint=fingerprint_of(Kind.REVIEW, prompt.messages, [written.text]),
    )
    item.completions.add(written)
    return item


def _by_risk(annotation: Annotation, text: str, percent: int) -> int:
    """Return the percentage with which a text is drawn, by what is known of its author."""
    written = Annotation.objects.filter(
        in_force(),
        annotator=annotation.annotator_id,
        item__project=annotation.item.project_id,
        kind__in=WRITTEN_KINDS,
    ).exclude(id=annotation.pk)
    reviews = Review.objects.filter(in_force("annotation__"), subject__in=written)
    return review_chance(
        percent,
        written=written.count(),
        words=len(text.split()),
        seconds=None if annotation.wall_ms is None else annotation.wall_ms / 1000,
        reviewed=reviews.count(),
        rejected=reviews.filter(decision=Review.Decision.REJECT).count(),
    )


def withdraw_review(annotation: Annotation) -> None:
    """Close the open places of an annotation's review items: it is no longer in force."""
    unanswered = Item.objects.filter(subject=annotation, open_slots__gt=0)
    unanswered.update(overlap=F("overlap") - F("open_slots"), open_slots=0)


def is_drawn(annotation_id: int, percent: int) -> bool:
    """Say whether an annotation is among the given percentage of all.

    >>> is_drawn(7, 0), is_drawn(7, 100)
    (False, True)
    """
    digest = hashlib.sha256(f"review {annotation_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100 < percent


def text_of(annotation: Annotation) -> Completion:
    """Return the completion that a demonstration, a rewrite or an assembly wrote."""
    match Kind(annotation.kind):
        case Kind.DEMONSTRATION:
            return annotation.demonstration.completion
        case Kind.REWRITE:
            return annotation.rewrite.completion
        case Kind.ASSEMBLY:
            return annotation.assembly.completion
        case kind:
            raise ValueError(f"A {kind.value} writes no text.")
