"""Reported answers: from the report over the rewrite to the case that keeps the fault away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations.algorithms import regressions
from annotations.algorithms.fingerprints import fingerprint_of
from annotations.algorithms.prompts import content_hash, split_for
from annotations.algorithms.regressions import Check, CheckError
from annotations.algorithms.text import MAX_COMPLETION_CHARS, MAX_PROMPT_CHARS, unix_newlines
from annotations.exports.regressions import rewrite_of
from annotations.models import (
    Annotation,
    Completion,
    Item,
    Kind,
    Project,
    RegressionCase,
    Ticket,
    TicketEvent,
    TicketReport,
    User,
)
from annotations.services.prompts import prompt_of
from annotations.services.rules import ServiceError, check

MAX_WORDS_CHARS = 500
MOST_REPORTS_AN_HOUR = 60
"""By one person: who reads and decides about each does not write faster."""
REWRITE_PRIORITY = 10
"""Rewrites of reported answers go ahead of the ordinary work of their kind."""

State = Ticket.State
Event = TicketEvent.Name


@transaction.atomic
def report(
    completion: Completion, user: User, reason: str, words: str = "", *, source: str
) -> Ticket:
    """Open a ticket about an answer, or add a report to the one that there is.

    A person's second report of the same answer takes the place of their first. A ticket that was
    dismissed stays so; whoever looks at it sees that somebody else complained.
    """
    _check_report(user, reason)
    words = check(unix_newlines(words).strip(), gettext_noop("What you wrote"), MAX_WORDS_CHARS)
    ticket, is_new = Ticket.objects.get_or_create(
        completion=completion,
        defaults={"project_id": completion.prompt.project_id, "reason": reason},
    )
    if is_new:
        _record(ticket, Event.OPENED)
    TicketReport.objects.update_or_create(
        ticket=ticket,
        reporter=user,
        defaults={"reason": reason, "words": words, "source": source},
    )
    return ticket


@transaction.atomic
def report_answer(
    project: Project,
    messages: Sequence[Mapping[str, str]],
    text: str,
    user: User,
    reason: str,
    words: str = "",
    *,
    source: str,
    checkpoint_id: int | None = None,
    source_name: str = "",
) -> Ticket:
    """Report an answer that lies nowhere yet: keep it and its prompt, then open the ticket.

    The same answer to the same messages is kept once, whoever reports it.
    """
    _check_report(user, reason)
    if not messages or messages[-1]["role"] != "user":
        raise ServiceError(_("Only an answer to a message of the user can be reported."))
    said = [
        {"role": turn["role"], "content": check(turn["content"], "A message", MAX_PROMPT_CHARS)}
        for turn in messages
    ]
    text = check(text, "The answer", MAX_COMPLETION_CHARS)
    prompt = prompt_of(project, tuple(said), user, split=_split_of(project, said))
    by_whom = Q(checkpoint=checkpoint_id) if checkpoint_id else Q(checkpoint__isnull=True)
    answers = prompt.completions.filter(by_whom, source_name=source_name, text=text)
    completion = answers.order_by("id").first() or Completion.objects.create(
        prompt=prompt,
        text=text,
        checkpoint_id=checkpoint_id,
        source_name=source_name,
        origin=Completion.Origin.CHECKPOINT if checkpoint_id else Completion.Origin.IMPORTED,
    )
    return report(completion, user, reason, words, source=source)


@transaction.atomic
def ask_for_rewrite(
    ticket: Ticket,
    user: User,
    *,
    kind: str,
    parameters: dict[str, Any],
    answers: int = 4,
) -> Item:
    """Put a reported answer into the queue to be made better, ahead of other rewrites.

    The check that its prompt will be a regression case with is chosen now; it binds once the
    rewrite is there. Where a reviewer rejected the rewrite, another one is asked for.
    """
    ticket = _lock(ticket)
    rewrite = rewrite_of(ticket)
    is_rejected = ticket.state == State.REWRITTEN and rewrite is not None and rewrite.is_rejected
    if ticket.state != State.OPEN and not is_rejected:
        raise ServiceError(
            f"{ticket} is “{ticket.get_state_display()}” by now, so nothing was asked for. "
            "Look at it again."
        )
    _set_check(ticket, user, kind, parameters, answers)
    prompt, completion = ticket.completion.prompt, ticket.completion
    item = Item.objects.create(
        project_id=ticket.project_id,
        kind=Kind.REWRITE,
        prompt=prompt,
        priority=REWRITE_PRIORITY,
        fingerprint=fingerprint_of(Kind.REWRITE, prompt.messages, [completion.text]),
        batch=f"ticket-{ticket.pk}",
    )
    item.completions.add(completion)
    _move(ticket, State.REWRITING, Event.SENT, user, item=item)
    return item


@transaction.atomic
def change_check(
    ticket: Ticket, user: User, *, kind: str, parameters: dict[str, Any], answers: int = 4
) -> None:
    """Give a ticket's regression case another check. What the one before found counts no more."""
    ticket = _lock(ticket)
    if ticket.item_id is None:
        raise ServiceError("Ask for a rewrite first; the check is chosen with it.")
    _set_check(ticket, user, kind, parameters, answers)
    words = RegressionCase.Kind(kind).label
    if ticket.state == State.FIXED:
        _move(ticket, State.REWRITTEN, Event.CHECK, user, words, fixed_by=None)
    else:
        _record(ticket, Event.CHECK, user, words)


@transaction.atomic
def dismiss(ticket: Ticket, user: User, words: str) -> None:
    """Do nothing about a report, and say why. A rewrite that nobody has begun is not wanted."""
    words = check(unix_newlines(words).strip(), "Your reason", MAX_WORDS_CHARS)
    if not words:
        raise ServiceError("Say why nothing is done about it; the next who looks will ask.")
    ticket = _lock(ticket)
    if ticket.state not in (State.OPEN, State.REWRITING):
        raise ServiceError(
            f"{ticket} is “{ticket.get_state_display()}”, and its regression case stays. "
            "Change its check if that is wrong."
        )
    Item.objects.filter(ticket=ticket, open_slots__gt=0).update(
        overlap=F("overlap") - F("open_slots"), open_slots=0
    )
    _move(ticket, State.DISMISSED, Event.DISMISSED, user, words)


@transaction.atomic
def take_up_again(ticket: Ticket, user: User) -> None:
    """Open a dismissed ticket again, where it was."""
    ticket = _lock(ticket)
    if ticket.state != State.DISMISSED:
        raise ServiceError(f"{ticket} is not dismissed any more. Look at it again.")
    state = State.OPEN
    if ticket.item_id is not None:
        state = State.REWRITTEN if rewrite_of(ticket) else State.REWRITING
        Item.objects.filter(ticket=ticket, overlap=0).update(overlap=1, open_slots=1)
    _move(ticket, state, Event.REOPENED, user)


def rewritten(annotation: Annotation) -> None:
    """Move the ticket on whose answer was made better, if it was asked for by one."""
    ticket = Ticket.objects.filter(item=annotation.item_id, state=State.REWRITING).first()
    if ticket is not None:
        _move(ticket, State.REWRITTEN, Event.REWRITTEN)


def rewrite_taken_back(annotation: Annotation) -> None:
    """Let the ticket wait again whose rewrite its author took back."""
    ticket = Ticket.objects.filter(item=annotation.item_id, state=State.REWRITTEN).first()
    if ticket is not None:
        _move(ticket, State.REWRITING, Event.TAKEN_BACK)


@transaction.atomic
def fix_ticket(ticket_id: int, checkpoint_id: int, words: str) -> None:
    """Close a ticket: the promoted checkpoint passes its regression case. Twice is once."""
    ticket = Ticket.objects.select_for_update(no_key=True).get(id=ticket_id)
    if ticket.state == State.REWRITTEN:
        _move(ticket, State.FIXED, Event.FIXED, words=words, fixed_by_id=checkpoint_id)


@transaction.atomic
def return_ticket(ticket_id: int, words: str) -> None:
    """Take up a fixed ticket again: the promoted checkpoint shows the fault. Twice is once."""
    ticket = Ticket.objects.select_for_update(no_key=True).get(id=ticket_id)
    if ticket.state == State.FIXED:
        _move(ticket, State.REWRITTEN, Event.CAME_BACK, words=words, fixed_by=None)


def _check_report(user: User, reason: str) -> None:
    if reason not in Ticket.Reason.values:
        raise ServiceError(_("Choose what is wrong with the answer."))
    recent = TicketReport.objects.filter(
        reporter=user, created_at__gt=Now() - timedelta(hours=1)
    ).count()
    if recent >= MOST_REPORTS_AN_HOUR:
        raise ServiceError(
            _(
                "You have reported %(recent)s answers within an hour, which is as many as are "
                "taken. Go on with your work and report again later."
            )
            % {"recent": recent}
        )


def _split_of(project: Project, messages: Sequence[Mapping[str, str]]) -> str:
    """Return the split of what a conversation began with: all that is said later goes with it."""
    first = next(place for place, turn in enumerate(messages) if turn["role"] == "user")
    digest = content_hash(messages[: first + 1])
    known = project.prompts.filter(content_hash=digest).values_list("split", flat=True).first()
    return known or split_for(digest)


def _set_check(
    ticket: Ticket, user: User, kind: str, parameters: dict[str, Any], answers: int
) -> None:
    if not 1 <= answers <= RegressionCase.MOST_ANSWERS:
        raise ServiceError(f"Ask for 1 to {RegressionCase.MOST_ANSWERS} answers.")
    chosen, rewrite, completion = Check(kind, parameters), rewrite_of(ticket), ticket.completion
    try:
        regressions.validate(chosen)
        problems = regressions.objections(
            chosen,
            completion.prompt.text,
            reported=completion.text,
            rewrite=rewrite.accepted if rewrite else None,
        )
    except CheckError as error:
        raise ServiceError(str(error)) from None
    if problems:
        raise ServiceError(" ".join(problems))
    case, is_new = RegressionCase.objects.get_or_create(
        ticket=ticket,
        defaults={
            "kind": kind,
            "parameters": parameters,
            "answers": answers,
            "created_by": user,
        },
    )
    if is_new or (case.kind, case.parameters, case.answers) == (kind, parameters, answers):
        return
    case.kind, case.parameters, case.answers = kind, parameters, answers
    case.version += 1
    case.save(update_fields=["kind", "parameters", "answers", "version"])


def _lock(ticket: Ticket) -> Ticket:
    tickets = Ticket.objects.select_for_update(of=("self",), no_key=True)
    return tickets.select_related("project", "completion__prompt").get(id=ticket.pk)


def _move(
    ticket: Ticket,
    state: str,
    event: str,
    person: User | None = None,
    words: str = "",
    **changes: Any,
) -> None:
    ticket.state = state
    for name, value in changes.items():
        setattr(ticket, name, value)
    ticket.save(update_fields=["state", *changes])
    _record(ticket, event, person, words)


def _record(ticket: Ticket, event: str, person: User | None = None, words: str = "") -> None:
    TicketEvent.objects.create(ticket=ticket, name=event, person=person, words=words[:1000])
