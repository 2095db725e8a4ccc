"""Answers to assignments: what a person hands in, and what they pass on."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Greatest, Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations import queue
from annotations.algorithms.text import MAX_COMPLETION_CHARS, MAX_REASON_CHARS, unix_newlines
from annotations.models import (
    Annotation,
    Assignment,
    AssignmentEvent,
    Comparison,
    Completion,
    CorrectionDraft,
    Demonstration,
    Kind,
    RankedCompletion,
    Ranking,
    in_force,
)
from annotations.prepared import PreparedUpdate, insert
from annotations.services.pay import pay, pay_correction
from annotations.services.ratings import Answers, write_rating
from annotations.services.review_items import ask_for_review, withdraw_review
from annotations.services.rules import ServiceError, check
from annotations.signals import annotated

LONGEST_MS = 2**31 - 1
MAX_NOTE_CHARS = 500

Event = AssignmentEvent.Name


@transaction.atomic
def submit_demonstration(
    assignment: Assignment, text: str, *, reason: str = "", correcting: int | None = None
) -> Annotation:
    """Keep an ideal answer. A second submit changes nothing and answers as the first did."""
    if correcting is None and (existing := handed_in(assignment)):
        return existing
    expect_kind(assignment, Kind.DEMONSTRATION)
    text = check(unix_newlines(text), gettext_noop("Your text"), MAX_COMPLETION_CHARS)
    if not text.strip():
        raise ServiceError(_("Your text is empty. Write an answer to the prompt, or skip it."))
    annotation, created = annotate(assignment, reason, correcting=correcting)
    if created:
        write_demonstration(annotation, text)
        ask_for_review(annotation)
    return annotation


@transaction.atomic
def submit_comparison(
    assignment: Assignment,
    outcome: str,
    strength: str = "",
    *,
    reason: str = "",
    correcting: int | None = None,
) -> Annotation:
    """Keep which completion is better, as seen: left is the one that was shown first.

    A second submit changes nothing and answers as the first did.
    """
    if correcting is None and (existing := handed_in(assignment)):
        return existing
    expect_kind(assignment, Kind.COMPARISON)
    check_judgement(outcome, strength)
    annotation, created = annotate(assignment, reason, correcting=correcting)
    if created:
        left, right = annotation.shown_order
        insert(
            Comparison(
                annotation=annotation,
                left_id=left,
                right_id=right,
                outcome=outcome,
                strength=strength,
            )
        )
    return annotation


@transaction.atomic
def submit_ranking(
    assignment: Assignment,
    tiers: Sequence[Sequence[int]],
    *,
    ratings: Answers | None = None,
    reason: str = "",
    correcting: int | None = None,
) -> Annotation:
    """Keep a ranking: tiers of completion ids, best first; those in one tier are tied.

    Where the item asks questions first, their answers are kept beside it. A second submit changes
    nothing and answers as the first did.
    """
    if correcting is None and (existing := handed_in(assignment)):
        return existing
    expect_kind(assignment, Kind.RANKING)
    ranked = [completion for tier in tiers for completion in tier]
    if sorted(ranked) != sorted(assignment.shown_order) or not all(tiers):
        raise ServiceError(_("Give every completion a place, each exactly once."))
    annotation, created = annotate(assignment, reason, correcting=correcting)
    if created:
        ranking = Ranking.objects.create(annotation=annotation)
        RankedCompletion.objects.bulk_create(
            RankedCompletion(ranking=ranking, completion_id=completion, tier=number)
            for number, tier in enumerate(tiers)
            for completion in tier
        )
        if scheme := assignment.item.rating_scheme:
            write_rating(annotation, scheme, ratings or {})
    return annotation


@transaction.atomic
def skip(assignment: Assignment, reason: str, note: str = "") -> None:
    """Give an assignment back, with a reason; the item goes to others.

    Skipping what was submitted changes nothing; skipping twice keeps the first reason.
    """
    if reason not in Assignment.SkipReason.values:
        raise ServiceError(_("Choose why you skip this one."))
    note = check(unix_newlines(note), gettext_noop("Your note"), MAX_NOTE_CHARS)
    skipped = {
        "state": Assignment.State.SKIPPED,
        "skip_reason": reason,
        "skip_note": note,
        "closed_at": Now(),
    }
    of_this = Assignment.objects.filter(id=assignment.pk)
    held = of_this.filter(state=Assignment.State.LEASED).update(**skipped)
    if held or of_this.filter(state=Assignment.State.EXPIRED).update(**skipped):
        queue.count_skip(assignment.item_id, 1, places=held)
        queue.record(assignment.pk, Event.SKIPPED)
        if assignment.item.kind == Kind.CONVERSATION:
            queue.drop_waiting(assignment.pk)
    assignment.refresh_from_db()


def annotation_in_force(assignment: Assignment) -> Annotation | None:
    """Return what an assignment says now: neither superseded nor taken back."""
    return assignment.annotations.filter(in_force()).order_by("id").last()


def handed_in(assignment: Assignment) -> Annotation | None:
    """Return what an assignment says if it was handed in when it was read.

    What is handed in since then `annotate` finds.
    """
    is_open = assignment.state != Assignment.State.SUBMITTED
    return None if is_open else annotation_in_force(assignment)


def expect_kind(assignment: Assignment, kind: Kind) -> None:
    if assignment.item.kind != kind:
        raise ServiceError(
            _("This assignment asks for a %(kind)s, not a %(other)s. Open it again.")
            % {"kind": assignment.item.kind, "other": kind.value}
        )


def expect_edits(assignment: Assignment) -> None:
    if not assignment.item.project.edits_allowed:
        raise ServiceError(
            _(
                "This project does not let answers be changed any more. Ask an owner of the "
                "project if yours is wrong."
            )
        )


def check_judgement(outcome: str, strength: str) -> None:
    """Raise ServiceError if this is no judgement of two completions."""
    if outcome not in Comparison.Outcome.values:
        raise ServiceError(_("Choose which completion is better, a tie, or “both bad”."))
    sided = outcome in (Comparison.Outcome.LEFT, Comparison.Outcome.RIGHT)
    if sided and strength not in Comparison.Strength.values:
        raise ServiceError(_("Choose how much better it is: significantly, better, slightly …"))
    if not sided and strength:
        raise ServiceError(_("A tie and “both bad” have no strength. Choose one or the other."))


def annotate(
    assignment: Assignment, reason: str = "", *, correcting: int | None = None
) -> tuple[Annotation, bool]:
    """Close an assignment and return its annotation, and whether this call made it.

    Of two submits at once only one closes it; the other waits for its row and finds the answer.
    With `correcting`, the annotation with that id is superseded, if it still is in force.
    """
    reason = check(unix_newlines(reason), gettext_noop("Your reason"), MAX_REASON_CHARS)
    if correcting is not None:
        Assignment.objects.select_for_update().get(id=assignment.pk)
        if (current := annotation_in_force(assignment)) is not None:
            if current.pk != correcting:
                return current, False
            return _correct(assignment, current, reason), True
    surplus = False
    if not _close(assignment, Assignment.State.LEASED):
        if not _close(assignment, Assignment.State.EXPIRED):
            if existing := annotation_in_force(assignment):
                return existing, False
            raise ServiceError(
                _(
                    "You skipped this one, so it has gone to others. Undo the skip from your "
                    "history if you just did it, or start the next."
                )
            )
        surplus = not queue.take_place(assignment.item_id)
    queue.record(assignment.pk, Event.SUBMITTED)
    # What was taken back before stays, and is followed by what is said now. Its text became the
    # draft, so without a draft there was none.
    is_first = assignment.draft_revision == 0
    taken_back = None if is_first else assignment.annotations.order_by("id").last()
    wall_ms = _milliseconds(assignment)
    annotation = _create(assignment, reason, taken_back, surplus=surplus, wall_ms=wall_ms)
    pay(annotation)
    return annotation, True


def _correct(assignment: Assignment, current: Annotation, reason: str) -> Annotation:
    expect_edits(assignment)
    CorrectionDraft.objects.filter(annotation=current).delete()
    withdraw_review(current)
    queue.record(assignment.pk, Event.CORRECTED)
    _of(assignment).update(active_ms=Greatest("active_ms", Value(assignment.active_ms)))
    assignment.refresh_from_db(fields=["active_ms"])
    annotation = _create(
        assignment, reason, current, surplus=current.surplus, wall_ms=current.wall_ms
    )
    pay_correction(current, annotation)
    return annotation


def _create(
    assignment: Assignment,
    reason: str,
    supersedes: Annotation | None,
    *,
    surplus: bool,
    wall_ms: int | None,
) -> Annotation:
    annotation = Annotation(
        item=assignment.item,
        annotator_id=assignment.annotator_id,
        assignment=assignment,
        kind=assignment.item.kind,
        guideline_version_id=assignment.guideline_version_id,
        shown_order=assignment.shown_order,
        reason=reason,
        supersedes=supersedes,
        surplus=surplus,
        wall_ms=wall_ms,
        active_ms=assignment.active_ms or None,
    )
    insert(annotation)
    tell(annotation, "annotation.created")
    return annotation


def tell(annotation: Annotation, what: str) -> None:
    """Tell whoever wants to hear of it what happened to an annotation, in its transaction."""
    annotated.send(
        sender=Annotation,
        project_id=annotation.item.project_id,
        kind=what,
        annotation_id=annotation.pk,
        item_id=annotation.item_id,
        annotation_kind=annotation.kind,
        supersedes_id=annotation.supersedes_id,
    )


def _close(assignment: Assignment, state: str) -> bool:
    """Hand in an assignment that is in this state; it then knows what was read anew of it."""
    closed = _CLOSE(assignment=assignment.pk, state=str(state), measured=assignment.active_ms)
    for row in closed:
        vars(assignment).update(zip(CLOSING, row, strict=True))
        # The clock of the database, as `selectors.previous_of` needs it.
        vars(assignment)["asked_at"] = assignment.closed_at
    return bool(closed)


CLOSING = ("state", "closed_at", "leased_at", "active_ms", "draft_revision")
"""What is read anew of an assignment when it is handed in."""

_CLOSE = PreparedUpdate(
    lambda *, assignment, state, measured: (
        Assignment.objects.filter(id=assignment, state=state),
        {
            "state": Assignment.State.SUBMITTED,
            "closed_at": Now(),
            "active_ms": Greatest("active_ms", measured),
        },
    ),
    "assignment",
    "state",
    "measured",
    returning=CLOSING,
)


def _of(assignment: Assignment) -> QuerySet[Assignment]:
    return Assignment.objects.filter(id=assignment.pk)


def _milliseconds(assignment: Assignment) -> int | None:
    if assignment.closed_at is None:
        return None
    elapsed = (assignment.closed_at - assignment.leased_at).total_seconds()
    return min(max(0, round(elapsed * 1000)), LONGEST_MS)


def write_demonstration(annotation: Annotation, text: str) -> None:
    """Store a text as a completion, and that it is what the annotation says."""
    Demonstration.objects.create(annotation=annotation, completion=write_text(annotation, text))


def write_text(annotation: Annotation, text: str) -> Completion:
    """Store a text as a completion by the annotation's author."""
    return Completion.objects.create(
        prompt_id=annotation.item.prompt_id,
        text=text,
        origin=Completion.Origin.HUMAN,
        author_id=annotation.annotator_id,
    )
