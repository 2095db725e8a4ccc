"""Answers that were reported, and what becomes of the reports.

Who judges reports an answer by its letter. Reviewers decide about tickets, too, and are not told
which checkpoint wrote what.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from annotations import access, exports, selectors, services
from annotations.algorithms.regressions import (
    LARGEST_NUMBER,
    MAX_LINES,
    MAX_PATTERN_CHARS,
    NUMBERED,
)
from annotations.algorithms.text import letter_of
from annotations.api.handing_in import Letter
from annotations.api.operations import Answer, Body, Call, IdInAddress, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.api.prompts import MessageOut, messages_out
from annotations.models import RegressionCase, Scope, Ticket, TicketEvent, TicketReport, User
from annotations.services.tickets import MAX_WORDS_CHARS

operations = Operations("Tickets")

Words = Annotated[str, StringConstraints(max_length=MAX_WORDS_CHARS)]
Said = Annotated[str, StringConstraints(min_length=1, max_length=MAX_WORDS_CHARS)]
Number = Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]
Rule = Literal[
    "not_empty",
    "no_repetition",
    "on_topic",
    "no_chatter",
    "lines",
    "syllables",
    "most_characters",
]


class TicketOut(Answer):
    """A reported answer. However many people report it, it is one ticket."""

    id: int
    state: Ticket.State
    reason: Ticket.Reason = Field(description="Of the first report.")
    reports: int
    prompt: int
    completion: int | None = Field(description="For owners and engineers.")
    checkpoint: int | None = Field(description="Which wrote it; for owners and engineers.")
    fixed_by: int | None = Field(
        description="The checkpoint that passed its case while it was promoted; for owners and "
        "engineers."
    )
    item: int | None = Field(description="Where its rewrite is asked for.")
    created_at: datetime


class TicketFilters(Paged):
    state: Ticket.State | Literal["unsettled"] | None = None
    reason: Ticket.Reason | None = None
    checkpoint: IdInAddress | None = Field(
        None, description="Which wrote the answer. Nothing, for who may not know that."
    )


class ReportOut(Answer):
    """What one person said about the answer."""

    reporter: str = Field(description="A pseudonym.")
    reason: Ticket.Reason
    words: str
    source: TicketReport.Source
    created_at: datetime


class TicketEventOut(Answer):
    """One thing that happened to a ticket."""

    name: TicketEvent.Name
    by: str = Field(description="Who decided it; empty for what happened by itself.")
    words: str
    created_at: datetime


class RegressionCaseOut(Answer):
    """The regression case of a ticket: how answers of checkpoints to its prompt are checked."""

    kind: RegressionCase.Kind
    parameters: dict[str, Any]
    answers: int = Field(description="How many answers a checkpoint gives; each must pass.")
    version: int = Field(description="What was found by an earlier one counts no more.")
    objections: list[str] = Field(
        description="Why it does not tell the reported answer from its rewrite."
    )


class RewriteOut(Answer):
    """The better version of a reported answer, as a reviewer left it."""

    text: str
    is_rejected: bool = Field(description="By a reviewer: nothing learns from it.")


class TicketWithAll(TicketOut):
    """A ticket with what was said about it and what became of it."""

    messages: list[MessageOut]
    answer: str
    said: list[ReportOut]
    rewrite: RewriteOut | None
    case: RegressionCaseOut | None
    events: list[TicketEventOut]


class Report(Body):
    """What is wrong with an answer."""

    reason: Ticket.Reason
    words: Words = ""


class ReportOfShown(Report):
    """Which answer it is, and what is wrong with it."""

    letter: Letter


class Pattern(Body):
    """A regular expression that no answer may match. Case does not matter."""

    kind: Literal["pattern"]
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN_CHARS)]


class Rubric(Body):
    """Rules that every answer must keep."""

    kind: Literal["rubric"]
    rules: list[Rule] = Field(min_length=1, max_length=7)
    lines: Number | None = Field(None, description="Of the rule `lines`: so many.")
    syllables: list[Annotated[int, Field(ge=1, le=100)]] | None = Field(
        None, max_length=MAX_LINES, description="Of the rule `syllables`: so many in each line."
    )
    most_characters: Number | None = Field(None, description="Of the rule of that name.")


class ByReward(Body):
    """The reward model must not prefer the rewrite."""

    kind: Literal["reward"]
    margin: Annotated[float, Field(ge=0, le=100)] = Field(
        0.0, description="By so much the rewrite's score may be higher."
    )


class NewCheck(Body):
    """How the answers of later checkpoints to the prompt of a ticket are checked."""

    check: Annotated[Pattern | Rubric | ByReward, Field(discriminator="kind")]
    answers: Annotated[int, Field(ge=1, le=RegressionCase.MOST_ANSWERS)] = 4


class Dismissal(Body):
    """Why nothing is done about a report."""

    words: Said


@operations.post("assignments/<int:assignment_id>/report", Scope.LABEL)
def report_answer(call: Call, assignment_id: int, body: ReportOfShown) -> None:
    """Report one of the answers that an item shows. The item is worked on as before."""
    assignment = access.get_assignment_for(call.user, assignment_id)
    shown = selectors.reportable_completions(assignment)
    by_letter = {letter_of(place): one for place, one in enumerate(shown, start=1)}
    if body.letter not in by_letter:
        raise services.ServiceError(
            f"No answer {body.letter} is shown, so it can't be reported. There "
            f"{'are' if by_letter else 'is'}: {', '.join(by_letter) or 'none'}."
        )
    reported, source = by_letter[body.letter], TicketReport.Source.QUEUE
    services.report(reported, call.user, body.reason, body.words, source=source)


@operations.get("projects/<int:project_id>/tickets")
def list_tickets(call: Call, project_id: int, query: TicketFilters) -> Page[TicketOut]:
    """List what was reported. Owners, engineers and reviewers can."""
    project = access.get_project_for(call.user, project_id, *access.DECIDING)
    knows = _knows_checkpoints(call.user, project_id)
    found = selectors.tickets_of(
        project,
        call.user,
        state=query.state or "",
        reason=query.reason or "",
        checkpoint=query.checkpoint,
    )
    if query.checkpoint is not None and not knows:
        found = found.none()
    return page_of(
        found, query, lambda one: _ticket(one, one.report_count, knows and not one.is_blind)
    )


@operations.get("tickets/<int:ticket_id>")
def get_ticket(call: Call, ticket_id: int) -> TicketWithAll:
    """Show a ticket with its reports, its rewrite, its regression case and what happened."""
    return _shown(call, access.get_ticket_for(call.user, ticket_id))


@operations.post("tickets/<int:ticket_id>/rewrite", Scope.WRITE)
def ask_for_rewrite(call: Call, ticket_id: int, body: NewCheck) -> TicketWithAll:
    """Put a reported answer into the queue to be made better, and say how answers are checked.

    It goes ahead of other rewrites. Once the rewrite is there, its prompt is a regression case:
    every checkpoint that is to be promoted must pass the check.
    """
    ticket = access.get_ticket_for(call.user, ticket_id)
    services.ask_for_rewrite(ticket, call.user, **_check(body))
    return _shown(call, access.get_ticket_for(call.user, ticket_id))


@operations.put("tickets/<int:ticket_id>/check", Scope.WRITE)
def change_check(call: Call, ticket_id: int, body: NewCheck) -> TicketWithAll:
    """Give a ticket's regression case another check. What the one before found counts no more."""
    ticket = access.get_ticket_for(call.user, ticket_id)
    services.change_check(ticket, call.user, **_check(body))
    return _shown(call, access.get_ticket_for(call.user, ticket_id))


@operations.post("tickets/<int:ticket_id>/dismiss", Scope.WRITE)
def dismiss_ticket(call: Call, ticket_id: int, body: Dismissal) -> TicketWithAll:
    """Do nothing about a report, and say why. A rewrite that nobody has begun is not wanted."""
    ticket = access.get_ticket_for(call.user, ticket_id)
    services.dismiss(ticket, call.user, body.words)
    return _shown(call, access.get_ticket_for(call.user, ticket_id))


@operations.post("tickets/<int:ticket_id>/reopen", Scope.WRITE)
def reopen_ticket(call: Call, ticket_id: int) -> TicketWithAll:
    """Take up a dismissed ticket again, where it was."""
    ticket = access.get_ticket_for(call.user, ticket_id)
    services.take_up_again(ticket, call.user)
    return _shown(call, access.get_ticket_for(call.user, ticket_id))


def _knows_checkpoints(user: User, project_id: int) -> bool:
    return access.get_membership_for(user, project_id).role in access.READING


def _check(body: NewCheck) -> dict[str, Any]:
    """Return a check as the services take it; of a rubric, what its own rules need."""
    wanted = body.check
    parameters = wanted.model_dump(exclude={"kind"}, exclude_none=True)
    if isinstance(wanted, Rubric):
        for name in {*NUMBERED, "syllables"} - {*wanted.rules}:
            parameters.pop(name, None)
    return {"kind": wanted.kind, "parameters": parameters, "answers": body.answers}


def _ticket(ticket: Ticket, reports: int, knows: bool) -> TicketOut:
    return TicketOut(
        id=ticket.pk,
        state=Ticket.State(ticket.state),
        reason=Ticket.Reason(ticket.reason),
        reports=reports,
        prompt=ticket.completion.prompt_id,
        completion=ticket.completion_id if knows else None,
        checkpoint=ticket.completion.checkpoint_id if knows else None,
        fixed_by=ticket.fixed_by_id if knows else None,
        item=ticket.item_id,
        created_at=ticket.created_at,
    )


def _shown(call: Call, ticket: Ticket) -> TicketWithAll:
    is_blind = selectors.is_blind_to(call.user, ticket)
    knows = _knows_checkpoints(call.user, ticket.project_id) and not is_blind
    reports = list(ticket.reports.all())
    rewrite = exports.rewrite_of(ticket)
    case = RegressionCase.objects.filter(ticket=ticket).first()
    accepted = rewrite.accepted if rewrite else None
    return TicketWithAll(
        **_ticket(ticket, len(reports), knows).model_dump(),
        messages=messages_out(ticket.completion.prompt.messages),
        answer=ticket.completion.text,
        said=[_report(one) for one in reports],
        rewrite=RewriteOut(text=rewrite.text, is_rejected=rewrite.is_rejected) if rewrite else None,
        case=_case(case, selectors.objections_to_check(ticket, accepted)) if case else None,
        events=[_event(one, knows) for one in ticket.events.select_related("person")],
    )


def _report(report: TicketReport) -> ReportOut:
    return ReportOut(
        reporter=exports.pseudonym(report.reporter_id),
        reason=Ticket.Reason(report.reason),
        words=report.words,
        source=TicketReport.Source(report.source),
        created_at=report.created_at,
    )


def _case(case: RegressionCase, objections: list[str]) -> RegressionCaseOut:
    return RegressionCaseOut(
        kind=RegressionCase.Kind(case.kind),
        parameters=case.parameters,
        answers=case.answers,
        version=case.version,
        objections=objections,
    )


def _event(event: TicketEvent, knows: bool) -> TicketEventOut:
    # What happened by itself names checkpoints.
    return TicketEventOut(
        name=TicketEvent.Name(event.name),
        by=str(event.person or ""),
        words=event.words if knows or event.person else "",
        created_at=event.created_at,
    )
