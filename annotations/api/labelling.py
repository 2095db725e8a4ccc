"""What a labeller does: take the next item, save it, hand it in, pass it on, take it back.

An item is shown as on its page: completions have letters, and nothing says who or what wrote
them. What a person holds, and by which rules, is decided where it is for the pages.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.http import Http404, QueryDict
from pydantic import Field, StringConstraints

from annotations import access, queue, selectors, services
from annotations.algorithms.text import letter_of
from annotations.api.handing_in import TURN_BY_TURN, Answered, fields_of_answer, hand_in
from annotations.api.operations import LARGEST_ID, Answer, Body, Call, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.api.problems import Problem, expect_valid
from annotations.api.prompts import MessageOut, messages_out
from annotations.api.prompts import Text as PromptText
from annotations.forms.lifecycle import LARGEST
from annotations.forms.work_forms import form_for, shown_texts
from annotations.models import Assignment, GuidelineVersion, Kind, Prompt, Scope

operations = Operations("Labelling")

NOTHING = {
    "": "Nothing waits for you here now. Ask again later.",
    "daily": "You have done as much as one person may on one day. Go on tomorrow.",
    "total": "You have done as much as one person may in this project. Thank you.",
}
"""What to tell a person who gets nothing, by the limit that they have reached."""

Milliseconds = Annotated[int, Field(ge=0, le=LARGEST)]
Fields = dict[
    Annotated[str, StringConstraints(min_length=1, max_length=100)],
    list[Annotated[str, StringConstraints(max_length=200_000)]],
]


class Shown(Answer):
    """A completion as its judge may know it."""

    letter: str
    text: str


class QuestionOut(Answer):
    """A question about each completion: a scale from 1 to `points`, or a flag (0 or 1)."""

    name: str
    text: str
    form: str
    points: int
    low: str
    high: str
    required: bool


class Draft(Answer):
    """What was entered so far."""

    revision: int = Field(description="Rises with everything that is saved.")
    fields: dict[str, list[str]]


class AssignmentOut(Answer):
    """An item that the owner of the token holds or held."""

    id: int
    project: int
    kind: Kind
    state: Assignment.State
    lease_until: datetime = Field(description="Work that is sent later is kept all the same.")
    messages: list[MessageOut]
    completions: list[Shown]
    questions: list[QuestionOut]
    guideline: int | None = Field(description="The version of the guidelines that it is under.")
    draft: Draft
    annotation: int | None = Field(description="What was handed in and is in force.")


class AssignmentLine(Answer):
    """An item that the owner of the token holds or held, in a list."""

    id: int
    kind: Kind
    state: Assignment.State
    leased_at: datetime
    lease_until: datetime
    closed_at: datetime | None = Field(description="When it was handed in or skipped.")
    skip_reason: str


class Next(Answer):
    """The item to work on, or why there is none."""

    assignment: AssignmentOut | None
    message: str = Field(description="What to tell the person where there is none; else empty.")


class Wish(Body):
    """What the person would like to do next."""

    kind: Kind | None = Field(None, description="Null: whatever is next.")


class HandIn(Body):
    """An answer to an item, as `answer.kind` has it."""

    answer: Answered
    active_ms: Milliseconds = Field(0, description="Time at work on it, as you measured it.")
    draft_revision: Annotated[int, Field(ge=0, le=LARGEST)] | None = Field(
        None, description="The newest draft that you know. If there is a newer one, it is refused."
    )
    correcting: Annotated[int, Field(ge=1, le=LARGEST_ID)] | None = Field(
        None, description="The annotation that this takes the place of; it stays on record."
    )


class HandedIn(Answer):
    """What was kept."""

    assignment: int
    annotation: int


class Skip(Body):
    """Why an item is passed on."""

    reason: Assignment.SkipReason
    note: Annotated[str, StringConstraints(max_length=500)] = ""


class DraftIn(Body):
    """What was entered so far: the fields that the page of this kind of work has."""

    fields: Fields = Field(max_length=1000)
    revision: Annotated[int, Field(ge=0, le=LARGEST)] = Field(
        description="The newest draft that you know."
    )
    active_ms: Milliseconds = 0
    correcting: Annotated[int, Field(ge=1, le=LARGEST_ID)] | None = Field(
        None, description="The annotation in force that this is to take the place of."
    )


class OwnPrompt(Body):
    """A prompt that the person thought of."""

    style: Prompt.Style
    text: PromptText


class AssignmentFilters(Paged):
    kind: Kind | None = None
    state: Assignment.State | None = None


@operations.post("projects/<int:project_id>/next", Scope.LABEL)
def take_next(call: Call, project_id: int, body: Wish) -> Next:
    """Take the next item, or get the one that is held already.

    Where there are new guidelines it answers 409: they are to be read and acknowledged before work
    goes on.
    """
    project = access.get_project_for(call.user, project_id)
    assignment = queue.lease_next(call.user, project, body.kind)
    if assignment is not None:
        return Next(assignment=_shown(assignment), message="")
    limit = selectors.limit_reached(call.user, project)
    return Next(assignment=None, message=NOTHING[limit])


@operations.post("projects/<int:project_id>/prompts/own", Scope.LABEL, status=201)
def write_own_prompt(call: Call, project_id: int, body: OwnPrompt) -> AssignmentOut:
    """Add a prompt that the person thought of, and take it to answer it first.

    There is such a thing where the project takes prompts from its labellers.
    """
    project = access.get_project_for(call.user, project_id)
    if not project.own_prompts_allowed:
        raise Http404("This project takes no prompts from labellers.")
    return _assignment(services.write_own_prompt(project, call.user, body.style, body.text))


@operations.get("projects/<int:project_id>/assignments")
def list_assignments(call: Call, project_id: int, query: AssignmentFilters) -> Page[AssignmentLine]:
    """List what the owner of the token holds and has done in a project."""
    project = access.get_project_for(call.user, project_id)
    found = access.get_assignments_for(call.user, project)
    if query.kind is not None:
        found = found.filter(item__kind=query.kind)
    if query.state is not None:
        found = found.filter(state=query.state)
    return page_of(found, query, _line)


@operations.get("assignments/<int:assignment_id>")
def get_assignment(call: Call, assignment_id: int) -> AssignmentOut:
    """Show an item that the owner of the token holds or held."""
    return _shown(access.get_assignment_for(call.user, assignment_id))


@operations.post("assignments/<int:assignment_id>/submit", Scope.LABEL)
def submit(call: Call, assignment_id: int, body: HandIn) -> HandedIn:
    """Hand in an answer. A second time changes nothing and is answered as the first.

    What is sent after the lease ran out is kept.
    """
    assignment = access.get_assignment_for(call.user, assignment_id)
    current = services.annotation_in_force(assignment)
    if body.correcting is None and assignment.state == Assignment.State.SUBMITTED and current:
        return HandedIn(assignment=assignment.pk, annotation=current.pk)
    _expect_newest(assignment, body)
    data = QueryDict(mutable=True)
    for name, value in fields_of_answer(len(assignment.shown_order), body.answer).items():
        data[name] = value
    form = form_for(assignment, data)
    expect_valid(form)
    if body.active_ms:
        services.measure(assignment, body.active_ms)
    annotation = hand_in(assignment, form, body.correcting)
    return HandedIn(assignment=assignment.pk, annotation=annotation.pk)


@operations.post("assignments/<int:assignment_id>/skip", Scope.LABEL)
def skip(call: Call, assignment_id: int, body: Skip) -> AssignmentOut:
    """Pass an item on, with a reason. It goes to others."""
    assignment = access.get_assignment_for(call.user, assignment_id)
    services.skip(assignment, body.reason, body.note)
    return _assignment(access.get_assignment_for(call.user, assignment_id))


@operations.post("assignments/<int:assignment_id>/undo", Scope.LABEL)
def undo(call: Call, assignment_id: int) -> AssignmentOut:
    """Take back what was handed in or skipped, while the project lets one; it becomes the draft."""
    assignment = access.get_assignment_for(call.user, assignment_id)
    services.undo(assignment)
    return _assignment(access.get_assignment_for(call.user, assignment_id))


@operations.put("assignments/<int:assignment_id>/draft", Scope.LABEL)
def save_draft(call: Call, assignment_id: int, body: DraftIn) -> Draft:
    """Keep what was entered so far, and the lease alive; or what was entered to correct an answer.

    It is refused where a newer draft is stored than `revision`.
    """
    assignment = access.get_assignment_for(call.user, assignment_id)
    work = {"revision": body.revision, "active_ms": body.active_ms}
    if body.correcting is None:
        saved = services.save_draft(assignment, body.fields, **work)
        over = "It is handed in or skipped. Take it back to change it, or correct it."
    else:
        saved = services.save_correction_draft(
            assignment, body.fields, correcting=body.correcting, **work
        )
        over = "That annotation is not in force any more. Get the assignment again."
    if saved.closed:
        raise Problem("not-possible", over)
    if saved.stale:
        raise Problem(
            "not-possible",
            f"Draft {saved.revision} is stored, newer than yours. Get it, and send both as one.",
        )
    return Draft(revision=saved.revision, fields=saved.fields)


def _expect_newest(assignment: Assignment, body: HandIn) -> None:
    if assignment.item.kind == Kind.CONVERSATION:
        raise Problem("not-possible", TURN_BY_TURN)
    if body.answer.kind != assignment.item.kind:
        raise Problem(
            "wrong-body",
            f"This item takes a {assignment.item.kind}, not a {body.answer.kind}.",
            errors=[("answer.kind", f"Send a {assignment.item.kind}.")],
        )
    known = body.draft_revision
    if body.correcting is None and known is not None and known < assignment.draft_revision:
        raise Problem(
            "not-possible",
            f"Draft {assignment.draft_revision} is stored, newer than yours. Get the assignment, "
            "look at both, and send what shall hold.",
        )


def _line(assignment: Assignment) -> AssignmentLine:
    return AssignmentLine(
        id=assignment.pk,
        kind=Kind(assignment.item.kind),
        state=Assignment.State(assignment.state),
        leased_at=assignment.leased_at,
        lease_until=assignment.lease_until,
        closed_at=assignment.closed_at,
        skip_reason=assignment.skip_reason,
    )


def _shown(assignment: Assignment) -> AssignmentOut:
    """Return an assignment, if its guidelines were read."""
    expect_guidelines_read(assignment)
    return _assignment(assignment)


def expect_guidelines_read(assignment: Assignment) -> None:
    """Raise a problem where what the work is done by was changed and not acknowledged yet."""
    version = assignment.guideline_version
    if assignment.state not in Assignment.CLOSED and version is not None:
        known: GuidelineVersion | None = selectors.known_guideline(assignment.annotator, version)
        if known is not None:
            raise Problem(
                "guidelines-changed",
                f"The guidelines have changed: show version {version.version} (guideline "
                f"{version.pk}) to the person, acknowledge it, and ask again. Item and draft wait.",
                guideline=version.pk,
            )


def _assignment(assignment: Assignment) -> AssignmentOut:
    item = assignment.item
    current = services.annotation_in_force(assignment)
    scheme = item.rating_scheme
    return AssignmentOut(
        id=assignment.pk,
        project=item.project_id,
        kind=Kind(item.kind),
        state=Assignment.State(assignment.state),
        lease_until=assignment.lease_until,
        messages=messages_out(item.prompt.messages),
        completions=[
            Shown(letter=letter_of(position), text=text)
            for position, text in enumerate(shown_texts(assignment), start=1)
        ],
        questions=[QuestionOut(**question) for question in scheme.questions] if scheme else [],
        guideline=assignment.guideline_version_id,
        draft=Draft(revision=assignment.draft_revision, fields=assignment.draft or {}),
        annotation=current.pk if current else None,
    )
