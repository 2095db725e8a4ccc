"""What happened: to one's own work, and to an item."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from annotations import access, selectors, services
from annotations.api.operations import Answer, Call, Operations
from annotations.api.people import owns
from annotations.exports import pseudonym
from annotations.models import Assignment, AssignmentEvent, Kind, Role, Scope, User

operations = Operations("History")


class EventOut(Answer):
    """What happened to an assignment."""

    name: AssignmentEvent.Name
    created_at: datetime


class HandedOut(Answer):
    """Who was handed an item, and what happened since."""

    assignment: int
    person: str | None = Field(description="Null: oneself.")
    state: Assignment.State
    events: list[EventOut]


class WordsOut(Answer):
    """A part of what was said, or of what was shown with it."""

    name: str
    text: str


class AnnotationRecordOut(Answer):
    """What was said, in words, and whether it still holds."""

    annotation: int
    person: str | None = Field(description="Null: oneself.")
    state: str = Field(description="`in force`, `taken back` or `corrected since`.")
    surplus: bool
    words: list[WordsOut]
    created_at: datetime


class HistoryOut(Answer):
    """Everything that happened to an item, or to one's own part in it."""

    item: int
    kind: Kind
    assignments: list[HandedOut]
    is_hidden: bool = Field(
        description="True: one's own answer is still to come, so that nobody's is shown."
    )
    records: list[AnnotationRecordOut]


class DoneOfKind(Answer):
    """How many of a kind."""

    kind: Kind
    done: int


class OwnWork(Answer):
    """What the owner of the token has done in a project."""

    done_today: int
    done: int
    by_kind: list[DoneOfKind]
    active_seconds_today: int
    active_seconds: int
    agreed: int = Field(description="Of `compared`; 0 where the project does not show it.")
    compared: int = Field(description="Comparisons that others judged, too.")
    earned: list[str] = Field(description="An amount for each currency.")
    open: list[int] = Field(description="Assignments that are held, or begun and run out.")
    corrections: list[int] = Field(description="Assignments whose correction is begun.")


@operations.get("projects/<int:project_id>/my-work")
def get_own_work(call: Call, project_id: int) -> OwnWork:
    """Show what the owner of the token has done in a project, and what they have begun."""
    project = access.get_project_for(call.user, project_id)
    found = selectors.own_statistics(call.user, project)
    return OwnWork(
        done_today=found.done_today,
        done=found.done,
        by_kind=[DoneOfKind(kind=Kind(one.kind), done=one.done) for one in found.by_kind],
        active_seconds_today=int(found.today.active.total_seconds()),
        active_seconds=int(found.all.active.total_seconds()),
        agreed=found.agreed,
        compared=found.compared,
        earned=found.earned,
        open=[one.pk for one in selectors.open_work(call.user, project)],
        corrections=[one.pk for one in selectors.begun_corrections(call.user, project)],
    )


@operations.get("assignments/<int:assignment_id>/history")
def get_assignment_history(call: Call, assignment_id: int) -> HistoryOut:
    """Show everything that happened to an item that the owner of the token holds or held.

    It is about their own part alone.
    """
    assignment = access.get_assignment_for(call.user, assignment_id)
    records = selectors.records_of(selectors.annotations_of(assignment))
    return HistoryOut(
        item=assignment.item_id,
        kind=Kind(assignment.item.kind),
        assignments=[_handed_out(assignment, None)],
        is_hidden=False,
        records=[_record(one, None) for one in records],
    )


@operations.post("assignments/<int:assignment_id>/correction/discard", Scope.LABEL)
def discard_correction(call: Call, assignment_id: int) -> HistoryOut:
    """Throw away what was entered to correct an answer; what was handed in stays."""
    services.discard_correction(access.get_assignment_for(call.user, assignment_id))
    return get_assignment_history(call, assignment_id)


@operations.get("items/<int:item_id>/history")
def get_item_history(call: Call, item_id: int) -> HistoryOut:
    """Show who was handed an item and what was said. Owners and reviewers can.

    While they owe it an answer themselves, nobody's is shown; while they have one of the answers to
    review, not who was handed the item, either. People are names to owners, and
    pseudonyms to others.
    """
    item = access.get_item_for(call.user, item_id, Role.OWNER, Role.REVIEWER)
    seen = selectors.item_history(call.user, item)
    by_name = owns(call, item.project_id)

    def called(person: User) -> str:
        return str(person) if by_name else pseudonym(person.pk)

    return HistoryOut(
        item=item.pk,
        kind=Kind(item.kind),
        assignments=[_handed_out(one, called(one.annotator)) for one in seen.assignments],
        is_hidden=seen.is_hidden,
        records=[_record(one, called(one.annotation.annotator)) for one in seen.records],
    )


def _handed_out(assignment: Assignment, person: str | None) -> HandedOut:
    return HandedOut(
        assignment=assignment.pk,
        person=person,
        state=Assignment.State(assignment.state),
        events=[
            EventOut(name=AssignmentEvent.Name(one.name), created_at=one.created_at)
            for one in assignment.events.all()
        ],
    )


def _record(record: selectors.AnnotationRecord, person: str | None) -> AnnotationRecordOut:
    annotation: Any = record.annotation
    return AnnotationRecordOut(
        annotation=annotation.pk,
        person=person,
        state=record.state,
        surplus=annotation.surplus,
        words=[WordsOut(name=name, text=text) for name, text in record.words],
        created_at=annotation.created_at,
    )
