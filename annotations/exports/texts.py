"""Texts by people: demonstrations, rewrites and what reviewers made of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from annotations.algorithms.preferences import (
    REWRITE_MARGIN,
    pair_from_rewrite,
)
from annotations.exports.rows import (
    CHUNK,
    DemonstrationRow,
    PreferenceRow,
    as_messages,
    current,
    for_training,
    preference_row,
    pseudonym,
    source_fields,
)
from annotations.models import (
    WRITTEN_KINDS,
    Annotation,
    Kind,
    Review,
    counted,
    held_out,
)


@dataclass(frozen=True)
class ReviewCounts:
    """What reviews did to the texts that are there to be imitated."""

    written: int
    """Demonstrations, rewrites and assemblies in force, whatever was said about them."""
    reviewed: int
    rejected: int
    fixed: int
    """Replaced by the reviewer's text; not among the rejected."""


def demonstrations(project_id: int) -> Iterator[DemonstrationRow]:
    """Yield every text that a person wrote to be imitated, by annotation.

    What a reviewer rejected is left out (see `review_counts`); what one fixed is there as fixed.
    What nobody reviewed counts as it is.
    """
    return heapq.merge(
        _texts_as_written(project_id),
        _texts_as_fixed(project_id),
        key=lambda row: row["annotation_id"],
    )


def review_counts(project_id: int, kinds: Sequence[str] = WRITTEN_KINDS) -> ReviewCounts:
    """Return how many texts were written, reviewed, rejected and fixed."""
    written = Annotation.objects.filter(for_training("", project_id), kind__in=kinds)
    rejected = Exists(_reviews(project_id, Review.Decision.REJECT))
    fixed = Exists(_reviews(project_id, Review.Decision.FIX))
    return ReviewCounts(
        written=written.count(),
        reviewed=written.filter(Exists(_reviews(project_id, *Review.Decision))).count(),
        rejected=written.filter(rejected).count(),
        fixed=written.filter(fixed & ~rejected).count(),
    )


def _texts_as_written(project_id: int) -> Iterator[DemonstrationRow]:
    kept = ~Exists(_reviews(project_id, Review.Decision.REJECT, Review.Decision.FIX))
    rows = (
        Annotation.objects.filter(for_training("", project_id), kept, kind__in=WRITTEN_KINDS)
        .order_by("id")
        .values(
            *source_fields(""),
            "kind",
            *(f"{kind.value}__completion__text" for kind in WRITTEN_KINDS),
        )
    )
    for row in rows.iterator(chunk_size=CHUNK):
        text = row[f"{row['kind']}__completion__text"]
        if text is not None:
            yield _demonstration(row, text, kind=row["kind"], fixes=None)


def _texts_as_fixed(project_id: int) -> Iterator[DemonstrationRow]:
    rows = _fixes(project_id).values(
        *source_fields("annotation__"), "subject_id", "subject__kind", "completion__text"
    )
    for row in rows.iterator(chunk_size=CHUNK):
        of_review = {name.removeprefix("annotation__"): value for name, value in row.items()}
        yield _demonstration(
            of_review,
            row["completion__text"],
            kind=row["subject__kind"],
            fixes=row["subject_id"],
        )


def _demonstration(
    row: dict[str, Any], text: str, *, kind: str, fixes: int | None
) -> DemonstrationRow:
    return {
        "split": row["item__prompt__split"],
        "prompt_id": row["item__prompt_id"],
        "annotation_id": row["id"],
        "annotator": pseudonym(row["annotator_id"]),
        "guideline_version": row["guideline_version__version"],
        "prompt": row["item__prompt__messages"],
        "completion": as_messages(text),
        "kind": kind,
        "fixes": fixes,
    }


def _fixes(project_id: int) -> QuerySet[Review]:
    """Return the fixes that are in force, of what is in force: the last one of each text."""
    fixed = Review.objects.filter(
        current("annotation__", project_id),
        ~held_out("annotation__"),
        for_training("subject__", project_id),
        decision=Review.Decision.FIX,
    )
    later = _reviews(project_id, Review.Decision.FIX, subject="subject_id").filter(
        annotation_id__gt=OuterRef("annotation_id")
    )
    rejected = _reviews(project_id, Review.Decision.REJECT, subject="subject_id")
    return fixed.filter(~Exists(later), ~Exists(rejected)).order_by("annotation_id")


def _reviews(project_id: int, *decisions: str, subject: str = "pk") -> QuerySet[Review]:
    """Return the reviews that count of what an outer query is about; none by somebody held out."""
    return Review.objects.filter(
        counted("annotation__", project_id),
        ~held_out("annotation__"),
        subject=OuterRef(subject),
        decision__in=decisions,
    )


def pairs_of_rewrites(project_id: int) -> Iterator[PreferenceRow]:
    kept = ~Exists(_reviews(project_id, Review.Decision.REJECT, Review.Decision.FIX))
    rows = (
        Annotation.objects.filter(
            for_training("", project_id), kept, kind=Kind.REWRITE, rewrite__isnull=False
        )
        .order_by("id")
        .values(*source_fields(""), *_rewritten("rewrite__"), *_rewritten_to("rewrite__"))
    )
    for row in rows.iterator(chunk_size=CHUNK):
        yield _rewrite_pair(row, "", "rewrite__", "rewrite__")


def pairs_of_fixed_rewrites(project_id: int) -> Iterator[PreferenceRow]:
    fixes = _fixes(project_id).filter(subject__kind=Kind.REWRITE)
    rows = fixes.values(
        *source_fields("annotation__"), *_rewritten("subject__rewrite__"), *_rewritten_to("")
    )
    for row in rows.iterator(chunk_size=CHUNK):
        yield _rewrite_pair(row, "annotation__", "subject__rewrite__", "")


def _rewritten(path: str) -> list[str]:
    return [f"{path}original_id", f"{path}original__text"]


def _rewritten_to(path: str) -> list[str]:
    return [f"{path}completion_id", f"{path}completion__text"]


def _rewrite_pair(row: dict[str, Any], source: str, original: str, edited: str) -> PreferenceRow:
    chosen, rejected = pair_from_rewrite(
        (row[f"{original}original_id"], row[f"{original}original__text"]),
        (row[f"{edited}completion_id"], row[f"{edited}completion__text"]),
    )
    pair = preference_row(row, source, chosen, rejected, strength="")
    return {**pair, "margin": REWRITE_MARGIN}
