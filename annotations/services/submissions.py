"""Answers to assignments: what a person hands in, and what they pass on."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models.functions import Now

from annotations import queue
from annotations.algorithms.text import MAX_COMPLETION_CHARS, MAX_REASON_CHARS, unix_newlines
from annotations.models import (
    Annotation,
    Assignment,
    Comparison,
    Completion,
    Demonstration,
    Kind,
    RankedCompletion,
    Ranking,
)
from annotations.services.rules import ServiceError, check

LONGEST_MS = 2**31 - 1


@transaction.atomic
def submit_demonstration(assignment: Assignment, text: str, *, reason: str = "") -> Annotation:
    """Keep an ideal answer. A second submit changes nothing and answers as the first did."""
    if existing := _existing(assignment):
        return existing
    _expect_kind(assignment, Kind.DEMONSTRATION)
    text = check(unix_newlines(text), "Your text", MAX_COMPLETION_CHARS)
    if not text.strip():
        raise ServiceError("Your text is empty. Write an answer to the prompt, or skip it.")
    annotation, created = _annotate(assignment, reason)
    if created:
        write_demonstration(annotation, text)
    return annotation


@transaction.atomic
def submit_comparison(
    assignment: Assignment, outcome: str, strength: str = "", *, reason: str = ""
) -> Annotation:
    """Keep which completion is better, as seen: left is the one that was shown first.

    A second submit changes nothing and answers as the first did.
    """
    if existing := _existing(assignment):
        return existing
    _expect_kind(assignment, Kind.COMPARISON)
    if outcome not in Comparison.Outcome.values:
        raise ServiceError("Choose which completion is better, a tie, or “both bad”.")
    sided = outcome in (Comparison.Outcome.LEFT, Comparison.Outcome.RIGHT)
    if sided and strength not in Comparison.Strength.values:
        raise ServiceError("Choose how much better it is: significantly, better, slightly …")
    if not sided and strength:
        raise ServiceError("A tie and “both bad” have no strength. Choose one or the other.")
    annotation, created = _annotate(assignment, reason)
    if created:
        left, right = assignment.shown_order
        Comparison.objects.create(
            annotation=annotation, left_id=left, right_id=right, outcome=outcome, strength=strength
        )
    return annotation


@transaction.atomic
def submit_ranking(
    assignment: Assignment, tiers: Sequence[Sequence[int]], *, reason: str = ""
) -> Annotation:
    """Keep a ranking: tiers of completion ids, best first; those in one tier are tied.

    A second submit changes nothing and answers as the first did.
    """
    if existing := _existing(assignment):
        return existing
    _expect_kind(assignment, Kind.RANKING)
    ranked = [completion for tier in tiers for completion in tier]
    if sorted(ranked) != sorted(assignment.shown_order) or not all(tiers):
        raise ServiceError("Give every completion a place, each exactly once.")
    annotation, created = _annotate(assignment, reason)
    if created:
        ranking = Ranking.objects.create(annotation=annotation)
        RankedCompletion.objects.bulk_create(
            RankedCompletion(ranking=ranking, completion_id=completion, tier=number)
            for number, tier in enumerate(tiers)
            for completion in tier
        )
    return annotation


@transaction.atomic
def skip(assignment: Assignment, reason: str, note: str = "") -> None:
    """Give an assignment back, with a reason; the item goes to others.

    Skipping what was submitted changes nothing; skipping twice keeps the first reason.
    """
    if reason not in Assignment.SkipReason.values:
        raise ServiceError("Choose why you skip this one.")
    note = check(unix_newlines(note), "Your note", 500)
    skipped = {
        "state": Assignment.State.SKIPPED,
        "skip_reason": reason,
        "skip_note": note,
        "closed_at": Now(),
    }
    of_this = Assignment.objects.filter(id=assignment.pk)
    if of_this.filter(state=Assignment.State.LEASED).update(**skipped):
        queue.return_place(assignment.item_id)
    else:
        of_this.filter(state=Assignment.State.EXPIRED).update(**skipped)
    assignment.refresh_from_db()


def _existing(assignment: Assignment) -> Annotation | None:
    return Annotation.objects.filter(assignment_id=assignment.pk).first()


def _expect_kind(assignment: Assignment, kind: Kind) -> None:
    if assignment.item.kind != kind:
        raise ServiceError(
            f"This assignment asks for a {assignment.item.kind}, not a {kind.value}. Open it again."
        )


def _annotate(assignment: Assignment, reason: str) -> tuple[Annotation, bool]:
    """Close an assignment and return its annotation, and whether this call made it.

    Of two submits at once only one closes it; the other waits for its row and finds the answer.
    """
    reason = check(unix_newlines(reason), "Your reason", MAX_REASON_CHARS)
    surplus = False
    if not _close(assignment, Assignment.State.LEASED):
        if not _close(assignment, Assignment.State.EXPIRED):
            if existing := _existing(assignment):
                return existing, False
            raise ServiceError("You skipped this one, so it has gone to others. Start the next.")
        surplus = not queue.take_place(assignment.item_id)
    assignment.refresh_from_db(fields=["state", "closed_at", "leased_at"])
    return (
        Annotation.objects.create(
            item_id=assignment.item_id,
            annotator_id=assignment.annotator_id,
            assignment=assignment,
            kind=assignment.item.kind,
            guideline_version_id=assignment.guideline_version_id,
            shown_order=assignment.shown_order,
            reason=reason,
            surplus=surplus,
            wall_ms=_milliseconds(assignment),
        ),
        True,
    )


def _close(assignment: Assignment, state: str) -> bool:
    in_state = Assignment.objects.filter(id=assignment.pk, state=state)
    return in_state.update(state=Assignment.State.SUBMITTED, closed_at=Now()) == 1


def _milliseconds(assignment: Assignment) -> int | None:
    if assignment.closed_at is None:
        return None
    elapsed = (assignment.closed_at - assignment.leased_at).total_seconds()
    return min(max(0, round(elapsed * 1000)), LONGEST_MS)


def write_demonstration(annotation: Annotation, text: str) -> None:
    completion = Completion.objects.create(
        prompt_id=annotation.item.prompt_id,
        text=text,
        origin=Completion.Origin.HUMAN,
        author_id=annotation.annotator_id,
    )
    Demonstration.objects.create(annotation=annotation, completion=completion)
