"""What happens to an assignment between its hand-out and its end, and after that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations import queue
from annotations.algorithms.text import MAX_COMPLETION_CHARS, unix_newlines
from annotations.models import (
    Assignment,
    AssignmentEvent,
    CorrectionDraft,
    GuidelineAcknowledgement,
    GuidelineVersion,
    Kind,
    Retraction,
    User,
)
from annotations.prepared import Prepared
from annotations.selectors.answers import correction_of, fields_of
from annotations.services.pay import reverse_pay
from annotations.services.review_items import withdraw_review
from annotations.services.rules import ServiceError, check
from annotations.services.submissions import (
    LONGEST_MS,
    annotation_in_force,
    expect_edits,
    tell,
)
from annotations.services.tickets import rewrite_taken_back

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    from annotations.selectors.queue import Asked

Fields = Mapping[str, list[str]]

MAX_DRAFT_CHARS = 200_000
"""Of all fields together: far more than any of them may have when it is sent."""

State = Assignment.State
Event = AssignmentEvent.Name


@dataclass(frozen=True)
class SavedDraft:
    """What is stored now.

    Nothing changed where it is `stale`, newer than what the page knew, or where what the page is
    about is `closed`.
    """

    revision: int
    state: str
    fields: dict[str, list[str]]
    stale: bool = False
    closed: bool = False


@transaction.atomic
def save_draft(
    assignment: Assignment, fields: Fields, *, revision: int, active_ms: int = 0
) -> SavedDraft:
    """Keep what was entered so far, and the lease alive.

    A page that knows an older revision than the one stored changes nothing, nor does one whose
    assignment is closed. A lease that ran out is taken again while there is a place.
    """
    entered = _check_fields(fields)
    current = _locked(assignment)
    stored = current.draft or {}
    if current.state in Assignment.CLOSED:
        return SavedDraft(current.draft_revision, current.state, stored, closed=True)
    if revision != current.draft_revision:
        # Sent again because the answer was lost: that is stored already.
        is_stale = stored != entered
        return SavedDraft(current.draft_revision, current.state, stored, stale=is_stale)
    queue.hold(current)
    if current.draft is None:
        queue.record(current.pk, Event.DRAFTED)
    Assignment.objects.filter(id=current.pk).update(
        draft=entered,
        draft_revision=F("draft_revision") + 1,
        active_ms=_active_ms(current, active_ms, current.asked_at),
    )
    return SavedDraft(revision + 1, current.state, entered)


@transaction.atomic
def save_correction_draft(
    assignment: Assignment,
    fields: Fields,
    *,
    correcting: int,
    revision: int,
    active_ms: int = 0,
) -> SavedDraft:
    """Keep what was entered so far to correct the annotation with this id.

    A page that knows an older revision than the one stored changes nothing, nor does one that
    corrects what is not in force any more.
    """
    entered = _check_fields(fields)
    current = _locked(assignment)
    expect_edits(current)
    annotation = annotation_in_force(current)
    if annotation is None or annotation.pk != correcting:
        return SavedDraft(0, current.state, {}, closed=True)
    stored = correction_of(annotation)
    if revision != stored.revision:
        is_stale = stored.fields != entered
        return SavedDraft(stored.revision, current.state, stored.fields, stale=is_stale)
    CorrectionDraft.objects.update_or_create(
        annotation=annotation,
        defaults={
            "fields": entered,
            "revision": revision + 1,
            "annotator_id": annotation.annotator_id,
        },
    )
    measured = _active_ms(current, active_ms, current.asked_at)
    Assignment.objects.filter(id=current.pk).update(active_ms=measured)
    return SavedDraft(revision + 1, current.state, entered)


@transaction.atomic
def discard_correction(assignment: Assignment) -> None:
    """Begin anew with what was handed in. Pages that know the draft are stale from then on."""
    current = _locked(assignment)
    annotation = annotation_in_force(current)
    if annotation is not None:
        CorrectionDraft.objects.filter(annotation=annotation).update(
            fields=fields_of(annotation), revision=F("revision") + 1
        )


def measure(assignment: Assignment, active_ms: int) -> None:
    """Take over the active time that a page has measured; it is kept with what is handed in."""
    assignment.active_ms = _active_ms(assignment, active_ms, timezone.now())


@transaction.atomic
def undo(assignment: Assignment) -> None:
    """Take back a submit or a skip within the grace period; what was entered becomes the draft.

    Undoing it twice changes nothing.
    """
    current = _locked(assignment)
    if current.state in Assignment.CLOSED:
        _expect_in_time(current)
        if current.state == State.SUBMITTED:
            _take_back(current)
        else:
            _take_again(current)
        queue.record(current.pk, Event.UNDONE)
    assignment.refresh_from_db()


def acknowledge(user: User, guideline_version: GuidelineVersion) -> None:
    """Keep that a person has seen a version of the guidelines. Twice is once."""
    GuidelineAcknowledgement.objects.get_or_create(user=user, guideline_version=guideline_version)


def _locked(assignment: Assignment) -> WithAnnotations[Assignment, Asked]:
    """Return an assignment as it is now, `asked_at` by the clock of the database."""
    return (
        Assignment.objects.select_for_update(of=("self",), no_key=True)
        .select_related("item__project")
        .annotate(asked_at=Now())
        .get(id=assignment.pk)
    )


def _check_fields(fields: Fields) -> dict[str, list[str]]:
    size = sum(len(name) + sum(map(len, values)) for name, values in fields.items())
    if size > MAX_DRAFT_CHARS:
        raise ServiceError(
            _(
                "This has %(size)s characters, and at most %(most)s can be "
                "sent. Shorten it; what was saved last is still there."
            )
            % {"size": f"{size:,}", "most": f"{MAX_COMPLETION_CHARS:,}"}
        )
    return {
        check(name, "The name of a field", 100): [
            check(unix_newlines(value), gettext_noop("Your draft"), MAX_DRAFT_CHARS)
            for value in values
        ]
        for name, values in fields.items()
    }


def _active_ms(current: Assignment, measured: int, now: datetime) -> int:
    """Return the active time: never less than before, never more than has passed."""
    if measured <= current.active_ms:
        return current.active_ms
    return max(current.active_ms, min(measured, _passed_ms(current, measured, now), LONGEST_MS))


def _passed_ms(current: Assignment, measured: int, now: datetime) -> int:
    """Return how long an assignment has been in a person's hands, over all its leases."""
    since_lease = _milliseconds(now - current.leased_at)
    if measured <= since_lease:
        return since_lease
    first = _EVENTS.first(assignment=current.pk)
    return max(since_lease, _milliseconds(now - first) if first else 0)


# All of the few that there are: asked for one, PostgreSQL may look through those of everybody.
_EVENTS = Prepared(
    lambda *, assignment: (
        AssignmentEvent.objects.filter(assignment=assignment)
        .order_by("id")
        .values_list("created_at", flat=True)
    ),
    "assignment",
)


def _milliseconds(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)


def _expect_in_time(current: WithAnnotations[Assignment, Asked]) -> None:
    grace = current.item.project.grace_seconds
    late = timedelta(seconds=grace)
    if current.closed_at is None or current.asked_at - current.closed_at > late:
        raise ServiceError(
            _(
                "It was sent more than %(grace)s seconds ago, which is too late to undo it. "
                "Open it in your history to change it."
            )
            % {"grace": grace}
        )


def _take_back(current: Assignment) -> None:
    """Retract what was submitted. The place within the overlap that it had is held again.

    The draft is what was entered last, be it to correct what is retracted.
    """
    annotation = annotation_in_force(current)
    assert annotation is not None  # as of everything that was submitted
    Retraction.objects.create(annotation=annotation)
    tell(annotation, "annotation.retracted")
    reverse_pay(annotation)
    withdraw_review(annotation)
    rewrite_taken_back(annotation)
    holds = not annotation.surplus or queue.take_place(current.item_id)
    # A conversation is in its turns; its draft is what was not sent yet when it ended.
    is_conversation = annotation.kind == Kind.CONVERSATION
    draft = current.draft if is_conversation else correction_of(annotation).fields
    CorrectionDraft.objects.filter(annotation=annotation).delete()
    _reopen(current, holds, draft=draft)


def _take_again(current: Assignment) -> None:
    """Take back a skip: hold the item again if it has a place still."""
    queue.count_skip(current.item_id, -1)
    _reopen(current, queue.take_place(current.item_id), draft=current.draft)


def _reopen(current: Assignment, holds: bool, *, draft: dict[str, list[str]] | None) -> None:
    Assignment.objects.filter(id=current.pk).update(
        state=State.LEASED if holds else State.EXPIRED,
        closed_at=None,
        lease_until=queue.lease_end(current.item.project) if holds else Now(),
        draft=draft,
        draft_revision=F("draft_revision") + 1,
        skip_reason="",
        skip_note="",
    )
    if current.item.kind == Kind.CONVERSATION:
        queue.ask_for_dropped(current.pk)
