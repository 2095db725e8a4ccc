"""Conversations with the model, step by step as on their page: say, wait, pick, go on, end.

Each step names the turn that it is about, so that a step that is sent twice is taken once. Replies
have letters, and nothing says what wrote them.
"""

from __future__ import annotations

from typing import Annotated, Literal, cast

from django.http import Http404
from pydantic import Field

from annotations import access, selectors, services
from annotations.api.handing_in import Choice
from annotations.api.labelling import HandedIn, Milliseconds, Shown, expect_guidelines_read
from annotations.api.operations import Answer, Body, Call, Operations
from annotations.api.prompts import MessageOut, Text, messages_out
from annotations.models import Assignment, Kind, Scope, Turn
from annotations.selectors.turns import MAX_TURNS

operations = Operations("Conversations")

Number = Annotated[int, Field(ge=0, le=MAX_TURNS)]
Step = Literal["wait", "pick", "say", "failed", "full", "over"]


class TurnOut(Answer):
    """A message, the two replies to it, and which was picked."""

    number: int
    message: str
    replies: list[Shown] = Field(description="None while they are waited for.")
    choice: Choice | None
    continued_with: str | None = Field(description="The letter that the conversation goes on with.")


class ConversationOut(Answer):
    """A conversation, and what its labeller does next."""

    assignment: int
    step: Step = Field(
        description="`wait` for replies, `pick` one, `say` something, `failed`: ask again, `full`: "
        "end it, `over`: it has ended or was skipped."
    )
    turn: int = Field(description="The turn that the next step is about.")
    can_end: bool
    progress: int = Field(description="How much of the replies is written, in percent.")
    is_unclaimed: bool = Field(description="Nobody has been at work on the replies for long.")
    error: str = Field(description="Why there are no replies, and what to do.")
    opening: list[MessageOut] = Field(description="What it began with; turn 0 answers the last.")
    turns: list[TurnOut]


class FirstMessage(Body):
    """What a conversation begins with."""

    text: Text


class Said(Body):
    """A message that goes on with what was picked."""

    turn: Number
    text: Text


class PickedReply(Body):
    """Which of two replies is better: left is A, right is B."""

    turn: Number
    choice: Choice


class OfTurn(Body):
    """The turn that a step is about."""

    turn: Number


class End(Body):
    """How a conversation ends."""

    active_ms: Milliseconds = Field(0, description="Time at work on it, as you measured it.")


@operations.post("projects/<int:project_id>/conversations", Scope.LABEL, status=201)
def start_conversation(call: Call, project_id: int, body: FirstMessage) -> ConversationOut:
    """Begin a conversation of one's own, where the project lets labellers do so.

    One that the project asks for is taken like every other item.
    """
    project = access.get_project_for(call.user, project_id)
    if not project.own_conversations_allowed:
        raise Http404("This project takes no conversations of labellers' own.")
    return _shown(services.start_conversation(project, call.user, body.text))


@operations.get("assignments/<int:assignment_id>/conversation")
def get_conversation(call: Call, assignment_id: int) -> ConversationOut:
    """Show a conversation that the owner of the token has or had; while it waits, ask again."""
    assignment = _conversation(call, assignment_id)
    expect_guidelines_read(assignment)
    return _shown(assignment)


@operations.post("assignments/<int:assignment_id>/conversation/say", Scope.LABEL)
def say(call: Call, assignment_id: int, body: Said) -> ConversationOut:
    """Go on with a message, which waits for two replies. The same twice is said once."""
    assignment = _conversation(call, assignment_id)
    services.say(assignment, body.turn, body.text)
    return _shown(assignment)


@operations.post("assignments/<int:assignment_id>/conversation/pick", Scope.LABEL)
def pick(call: Call, assignment_id: int, body: PickedReply) -> ConversationOut:
    """Say which reply is better; the conversation goes on with it, after a tie with A.

    After `both_bad` two new replies to the same message are waited for.
    """
    assignment = _conversation(call, assignment_id)
    outcome, _, strength = body.choice.partition("-")
    services.pick(assignment, body.turn, outcome, strength)
    return _shown(assignment)


@operations.post("assignments/<int:assignment_id>/conversation/pick-again", Scope.LABEL)
def pick_again(call: Call, assignment_id: int, body: OfTurn) -> ConversationOut:
    """Take back what was picked last, while nothing was said after it."""
    assignment = _conversation(call, assignment_id)
    services.pick_again(assignment, body.turn)
    return _shown(assignment)


@operations.post("assignments/<int:assignment_id>/conversation/ask-again", Scope.LABEL)
def ask_again(call: Call, assignment_id: int, body: OfTurn) -> ConversationOut:
    """Let a turn that failed wait for replies once more."""
    assignment = _conversation(call, assignment_id)
    services.ask_again(assignment, body.turn)
    return _shown(assignment)


@operations.post("assignments/<int:assignment_id>/conversation/end", Scope.LABEL)
def end_conversation(call: Call, assignment_id: int, body: End) -> HandedIn:
    """End a conversation and hand in what was picked. A second time changes nothing."""
    assignment = _conversation(call, assignment_id)
    if body.active_ms and assignment.state != Assignment.State.SUBMITTED:
        services.measure(assignment, body.active_ms)
    annotation = services.submit_conversation(assignment)
    return HandedIn(assignment=assignment.pk, annotation=annotation.pk)


def _conversation(call: Call, assignment_id: int) -> Assignment:
    assignment = access.get_assignment_for(call.user, assignment_id)
    if assignment.item.kind != Kind.CONVERSATION:
        raise Http404("This is no conversation.")
    return assignment


def _shown(assignment: Assignment) -> ConversationOut:
    standing = selectors.standing_of(assignment)
    is_over = assignment.state in Assignment.CLOSED
    return ConversationOut(
        assignment=assignment.pk,
        step=cast("Step", "over" if is_over else standing.step),
        turn=standing.number,
        can_end=standing.can_end and not is_over,
        progress=standing.turn.progress,
        is_unclaimed=standing.is_unclaimed and not is_over,
        error=standing.turn.error if standing.step == "failed" else "",
        opening=messages_out(assignment.item.prompt.messages),
        turns=[_turn(turn) for turn in selectors.turns_of(assignment)],
    )


def _turn(turn: Turn) -> TurnOut:
    replies = {"A": turn.first, "B": turn.second}
    choice = "-".join(filter(None, (turn.outcome, turn.strength)))
    on = turn.continued_with_id
    return TurnOut(
        number=turn.number,
        message=turn.prompt.text,
        replies=[Shown(letter=letter, text=one.text) for letter, one in replies.items() if one],
        choice=cast("Choice | None", choice or None),
        continued_with=next(
            (letter for letter, one in replies.items() if one and one.pk == on), None
        ),
    )
