"""Conversations as labellers have them: begin, say something, pick a reply, go on, end.

Every call names the turn that it is about. So a button that is pressed twice, or a tab that knows
less than another, asks for nothing twice and overwrites nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Greatest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations import queue
from annotations.algorithms.fingerprints import fingerprint_of
from annotations.algorithms.text import MAX_PROMPT_CHARS, unix_newlines
from annotations.importers import Messages, user_turn
from annotations.models import (
    Annotation,
    Assignment,
    Comparison,
    Completion,
    Conversation,
    ConversationChoice,
    Item,
    Kind,
    Project,
    Prompt,
    Turn,
    User,
)
from annotations.selectors.queue import leases_of, limit_reached
from annotations.selectors.turns import MAX_TURNS, turns_of
from annotations.services.prompts import prompt_of
from annotations.services.rules import CHUNK, MAX_OVERLAP, ServiceError, check, expect_open, lock
from annotations.services.submissions import (
    annotate,
    annotation_in_force,
    check_judgement,
    expect_kind,
)

CLOSED = (Assignment.State.SUBMITTED, Assignment.State.SKIPPED)

Outcome = Comparison.Outcome


@transaction.atomic
def start_conversation(project: Project, user: User, text: str) -> Assignment:
    """Begin a conversation with a message of the labeller's own."""
    if not project.own_conversations_allowed:
        raise ServiceError(
            _("This project takes no conversations of your own. Start the next item.")
        )
    if project.is_paused or limit_reached(user, project):
        raise ServiceError(_("There is no more to do here for now, so no conversation was begun."))
    expect_open(Kind.CONVERSATION, user, project)
    messages = user_turn(_message(text))
    lock(project)
    if leases_of(user, project).filter(item__kind=Kind.CONVERSATION).exists():
        raise ServiceError(
            _("You are in a conversation already. End it or skip it first; your message is below.")
        )
    # Without a fingerprint: nobody asked the labeller this, and they may ask it again.
    item = Item.objects.create(
        project=project, kind=Kind.CONVERSATION, prompt=prompt_of(project, messages, user)
    )
    assignment = queue.lease_item(user, item)
    if assignment is None:
        raise ServiceError(_("You are not active in this project any more. Ask one of its owners."))
    return assignment


@transaction.atomic
def add_conversations(project: Project, prompts: Sequence[Prompt], *, overlap: int) -> int:
    """Queue a conversation about each prompt that has none yet. Return how many were added."""
    if not 1 <= overlap <= MAX_OVERLAP:
        raise ServiceError(_("Choose an overlap from 1 to %(most)s.") % {"most": MAX_OVERLAP})
    lock(project)
    had = set(
        project.items.filter(
            kind=Kind.CONVERSATION, prompt__in=[prompt.pk for prompt in prompts]
        ).values_list("prompt_id", flat=True)
    )
    items = Item.objects.bulk_create(
        (
            Item(
                project=project,
                kind=Kind.CONVERSATION,
                prompt=prompt,
                overlap=overlap,
                open_slots=overlap,
                fingerprint=fingerprint_of(Kind.CONVERSATION, prompt.messages),
            )
            for prompt in prompts
            if prompt.pk not in had
        ),
        batch_size=CHUNK,
    )
    return len(items)


@transaction.atomic
def say(assignment: Assignment, number: int, text: str) -> Turn:
    """Go on with a message, which becomes the turn of that number and waits for two replies.

    Saying the same twice changes nothing.
    """
    text = _message(text)
    current, turns = _going_on(assignment)
    last = turns[-1]
    if number <= last.number:
        return _said_before(turns, number, text)
    if number > last.number + 1 or last.continued_with is None:
        raise ServiceError(_("Pick one of the replies first. Your message is still in the box."))
    if number >= MAX_TURNS:
        raise ServiceError(
            _("A conversation has %(most)s turns at most, and this one has them. End it.")
            % {"most": MAX_TURNS}
        )
    messages: Messages = (
        *({"role": one["role"], "content": one["content"]} for one in last.prompt.messages),
        {"role": "assistant", "content": last.continued_with.text},
        *user_turn(text),
    )
    first = current.item.prompt
    prompt = prompt_of(current.item.project, messages, assignment.annotator, split=first.split)
    return queue.ask_for_replies(current.pk, number, prompt.pk)


@transaction.atomic
def pick(assignment: Assignment, number: int, outcome: str, strength: str = "") -> Turn:
    """Keep which reply of a turn is better: left is A. The conversation goes on with it.

    After a tie it goes on with A, whose place was drawn. “Both bad” asks for two new replies to
    the same message. Picking the same twice changes nothing.
    """
    check_judgement(outcome, strength)
    turns = _going_on(assignment)[1]
    turn = _turn(turns, number)
    if turn.outcome and (turn.outcome, turn.strength) == (outcome, strength):
        return turn
    if turn != turns[-1] or turn.outcome:
        raise ServiceError(_("You have picked here before. Nothing was changed; go on from there."))
    first, second = turn.first, turn.second
    if first is None or second is None:
        raise ServiceError(_("The replies are not there yet. Wait for them, then pick one."))
    if outcome in (Outcome.LEFT, Outcome.RIGHT) and first.text.strip() == second.text.strip():
        raise ServiceError(_("Both replies say the same. Choose a tie, or “both bad”."))
    turn.outcome, turn.strength = outcome, strength
    turn.continued_with = _continuation(outcome, first, second)
    turn.save(update_fields=["outcome", "strength", "continued_with"])
    if outcome == Outcome.BOTH_BAD and number + 1 < MAX_TURNS:
        queue.ask_for_replies(turn.assignment_id, number + 1, turn.prompt_id)
    return turn


@transaction.atomic
def pick_again(assignment: Assignment, number: int) -> None:
    """Take back what was picked last, while nothing was said after it."""
    turns = _going_on(assignment)[1]
    turn = _turn(turns, number)
    if turn != turns[-1]:
        raise ServiceError(_("The conversation has gone on since, so the pick stays as it is."))
    turn.outcome, turn.strength, turn.continued_with = "", "", None
    turn.save(update_fields=["outcome", "strength", "continued_with"])


@transaction.atomic
def ask_again(assignment: Assignment, number: int) -> None:
    """Let a turn that failed wait for replies again. Asking twice is asking once."""
    turns = _going_on(assignment)[1]
    turn = _turn(turns, number)
    if turn.state == Turn.State.FAILED:
        queue.ask_again(Turn.objects.filter(id=turn.pk))


@transaction.atomic
def submit_conversation(
    assignment: Assignment, *, unsent: str = "", correcting: int | None = None
) -> Annotation:
    """End a conversation and keep everything that was picked in it.

    `unsent` is what stands in the box; it is there again if this is undone. A second submit
    changes nothing and answers as the first did. A conversation is not corrected later: what came
    after a pick answers to that pick.
    """
    if correcting is not None:
        raise ServiceError(_("A conversation that has ended is not changed any more."))
    if existing := annotation_in_force(assignment):
        return existing
    expect_kind(assignment, Kind.CONVERSATION)
    unsent = check(unix_newlines(unsent), gettext_noop("Your message"), MAX_PROMPT_CHARS)
    picked = [turn for turn in turns_of(assignment) if turn.outcome]
    if not picked:
        raise ServiceError(
            _(
                "Nothing was picked yet. Pick a reply at least once before you end, or skip "
                "this one."
            )
        )
    annotation, created = annotate(assignment)
    if created:
        _write_conversation(annotation, picked)
        queue.drop_waiting(assignment.pk)
        _keep_unsent(assignment, picked[-1].number + 1, unsent)
    return annotation


def _write_conversation(annotation: Annotation, picked: Sequence[Turn]) -> None:
    conversation = Conversation.objects.create(annotation=annotation)
    ConversationChoice.objects.bulk_create(
        ConversationChoice(
            conversation=conversation,
            position=position,
            prompt_id=turn.prompt_id,
            left=turn.first,
            right=turn.second,
            outcome=turn.outcome,
            strength=turn.strength,
        )
        for position, turn in enumerate(picked)
    )


def _keep_unsent(assignment: Assignment, number: int, unsent: str) -> None:
    draft = {"turn": [str(number)], "text": [unsent]} if unsent.strip() else None
    Assignment.objects.filter(id=assignment.pk).update(draft=draft)


def _message(text: str) -> str:
    text = check(unix_newlines(text), gettext_noop("Your message"), MAX_PROMPT_CHARS).strip()
    if not text:
        raise ServiceError(_("Your message is empty. Write what you want to say."))
    return text


def _going_on(assignment: Assignment) -> tuple[Assignment, list[Turn]]:
    """Lock a conversation that has not ended and keep its lease. Return it with its turns."""
    expect_kind(assignment, Kind.CONVERSATION)
    current = (
        Assignment.objects.select_for_update(of=("self",), no_key=True)
        .select_related("item__project", "item__prompt")
        .get(id=assignment.pk)
    )
    if current.state in CLOSED:
        raise ServiceError(
            _("This conversation has ended. Undo that if you just ended it, or start the next.")
        )
    queue.hold(current)
    measured = Greatest("active_ms", Value(assignment.active_ms))
    Assignment.objects.filter(id=current.pk).update(active_ms=measured)
    return current, turns_of(current)


def _turn(turns: Sequence[Turn], number: int) -> Turn:
    for turn in turns:
        if turn.number == number:
            return turn
    raise ServiceError(_("There is no such turn in this conversation. Reload the page."))


def _said_before(turns: Sequence[Turn], number: int, text: str) -> Turn:
    said = next((turn for turn in turns if turn.number == number), None)
    if said is None or said.prompt.text != text:
        raise ServiceError(
            _(
                "The conversation has gone on elsewhere since this page was loaded, so your "
                "message was not sent. It is still in the box."
            )
        )
    return said


def _continuation(outcome: str, first: Completion, second: Completion) -> Completion | None:
    match outcome:
        case Outcome.BOTH_BAD:
            return None
        case Outcome.RIGHT:
            return second
    return first
