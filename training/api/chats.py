"""Chats with checkpoints, which are one's own: what is said, and what comes back.

A reply waits until somebody has it written. Whoever asks for that waits for it as a page without
scripts does: for so long, and then asks again. Programs that want it word by word talk with the
model at `/v1`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from annotations.algorithms.text import MAX_PROMPT_CHARS
from annotations.api.operations import LARGEST_ID, Answer, Body, Call, Operations, Scope
from annotations.api.pages import Page, Paged, page_of
from annotations.api.tickets import Report
from training import access, selectors, services
from training.forms.chats import MOST_NEW_TOKENS, NO_CHECKPOINT, SETTINGS
from training.models import Chat, ChatMessage, Checkpoint
from training.services.chats import MOST_TURNS

operations = Operations("Chats", refusals=(services.ServiceError,))

AGAIN_S = 2
"""After so long a reply that is still being written is worth asking for again."""

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Number = Annotated[int, Field(ge=0, le=MOST_TURNS)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PROMPT_CHARS)]
Temperature = Annotated[float, Field(ge=0, le=5)]
TopP = Annotated[float, Field(ge=0.01, le=1)]
MaxNewTokens = Annotated[int, Field(ge=1, le=MOST_NEW_TOKENS)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class ChatOut(Answer):
    """What one person says to one checkpoint, or the same to two side by side."""

    id: int
    title: str
    left: int
    right: int | None
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int | None
    created_at: datetime
    said_at: datetime


class ReplyOut(Answer):
    """What a checkpoint said to a message."""

    id: int
    side: ChatMessage.Side
    checkpoint: int
    state: ChatMessage.State = Field(
        description="`waiting` while nobody asks for it, `writing` while somebody does, until it "
        "has ended."
    )
    text: str
    error: str = Field(description="Why it failed, and what to do.")
    sampling: dict[str, Any]
    seed: int | None
    tokens: int | None
    seconds: float | None
    is_praised: bool


class ChatTurn(Answer):
    """A message, and the replies to it."""

    turn: int
    message: str
    replies: list[ReplyOut]


class ChatWithTurns(ChatOut):
    """A chat, with what is in force in it."""

    turns: list[ChatTurn]


class NewChat(Body):
    """The first message of a chat, and who answers."""

    text: Text
    left: Id = Field(description="A policy, a base model or an external endpoint of the project.")
    right: Id | None = Field(None, description="Another one, which answers the same beside it.")
    temperature: Temperature = 0.7
    top_p: TopP = 0.95
    max_new_tokens: MaxNewTokens = 256
    seed: Seed | None = Field(None, description="Null draws another one for each reply.")


class NextMessage(Body):
    """A message that goes on with a chat; whoever answered and how stay the same."""

    turn: Number = Field(description="How many turns there are: nothing is said twice.")
    text: Text


class Praised(Body):
    """Whether a reply is good; false takes that back."""

    is_good: bool


@operations.get("projects/<int:project_id>/chats")
def list_chats(call: Call, project_id: int, query: Paged) -> Page[ChatOut]:
    """List the chats that the owner of the token has begun in a project."""
    project = access.get_project_for(call.user, project_id)
    return page_of(
        selectors.chats_of(project, call.user), query, lambda chat: ChatOut(**_values(chat))
    )


@operations.post("projects/<int:project_id>/chats", Scope.MODELS, status=201)
def start_chat(call: Call, project_id: int, body: NewChat) -> ChatWithTurns:
    """Begin a chat with its first message; its replies wait to be written."""
    project = access.get_project_for(call.user, project_id)
    there = selectors.checkpoints_that_chat(project.pk)
    sampling = body.model_dump(include=set(SETTINGS))
    choice = services.Choice(
        left=_answering(there.filter(id=body.left).first()),
        right=_answering(there.filter(id=body.right).first()) if body.right else None,
        **sampling,
    )
    return _shown(services.start_chat(project, call.user, body.text, choice))


@operations.get("chats/<int:chat_id>")
def get_chat(call: Call, chat_id: int) -> ChatWithTurns:
    """Show a chat of the owner of the token."""
    return _shown(access.get_chat_for(call.user, chat_id))


@operations.post("chats/<int:chat_id>/messages", Scope.MODELS, status=201)
def say_in_chat(call: Call, chat_id: int, body: NextMessage) -> ChatWithTurns:
    """Go on with a chat, once every reply in it has ended."""
    chat = access.get_chat_for(call.user, chat_id)
    services.say(chat, body.text, _choice(chat), turn=body.turn)
    return _shown(access.get_chat_for(call.user, chat_id))


@operations.put("chats/<int:chat_id>/messages", Scope.MODELS)
def say_differently(call: Call, chat_id: int, body: NextMessage) -> ChatWithTurns:
    """Put another message in the place of the last one, `turn`, and have it answered."""
    chat = access.get_chat_for(call.user, chat_id)
    services.say_differently(chat, body.text, _choice(chat), turn=body.turn)
    return _shown(access.get_chat_for(call.user, chat_id))


def _again_in_s(reply: ReplyOut) -> int:
    """Return in how many seconds a reply is worth asking for again; 0 where it has ended."""
    return AGAIN_S if reply.state in ChatMessage.OPEN else 0


@operations.put("replies/<int:reply_id>", Scope.MODELS, again_in_s=_again_in_s)
def write_reply(call: Call, reply_id: int) -> ReplyOut:
    """Have a reply written, and get it once it has ended.

    After 20 seconds without its end the answer is 202, with what came so far: ask again when
    `Retry-After` says. It is written on for half a minute, then it counts as left alone and is
    stopped. Asking twice at once is looking on: where the line breaks meanwhile, ask again.
    """
    reply = access.get_reply_for(call.user, reply_id)
    for _ in services.write_reply(reply, within_s=services.WAITED_FOR_S, asks_again=True):
        pass
    return _reply(access.get_reply_for(call.user, reply_id))


@operations.post("replies/<int:reply_id>/stop", Scope.MODELS)
def stop_reply(call: Call, reply_id: int) -> ReplyOut:
    """End a reply where it is. One that has ended stays as it is."""
    reply = access.get_reply_for(call.user, reply_id)
    services.stop_reply(reply)
    return _reply(access.get_reply_for(call.user, reply_id))


@operations.post("replies/<int:reply_id>/again", Scope.MODELS, status=201)
def ask_for_another_reply(call: Call, reply_id: int) -> ChatWithTurns:
    """Ask the same checkpoint for another reply to the last message, with another seed."""
    reply = access.get_reply_for(call.user, reply_id)
    services.ask_again(reply)
    return _shown(access.get_chat_for(call.user, reply.chat_id))


@operations.post("replies/<int:reply_id>/praise", Scope.MODELS)
def praise_reply(call: Call, reply_id: int, body: Praised) -> ReplyOut:
    """Keep that a reply is good, or take that back."""
    reply = access.get_reply_for(call.user, reply_id)
    services.praise_reply(reply, call.user, is_good=body.is_good)
    return _reply(access.get_reply_for(call.user, reply_id))


@operations.post("replies/<int:reply_id>/report", Scope.MODELS)
def report_reply(call: Call, reply_id: int, body: Report) -> None:
    """Report a reply that was written: a ticket is opened about it, with the conversation."""
    reply = access.get_reply_for(call.user, reply_id)
    services.report_reply(reply, call.user, body.reason, body.words)


def _choice(chat: Chat) -> services.Choice:
    """Return who answers in a chat, and how."""
    return services.Choice(
        left=chat.left, right=chat.right, **{name: getattr(chat, name) for name in SETTINGS}
    )


def _answering(found: Checkpoint | None) -> Checkpoint:
    if found is None:
        raise services.ServiceError(NO_CHECKPOINT)
    return found


def _shown(chat: Chat) -> ChatWithTurns:
    turns = selectors.turns_of(chat)
    return ChatWithTurns(
        **_values(chat),
        turns=[
            ChatTurn(
                turn=one.message.turn,
                message=one.message.text,
                replies=[_reply(reply) for reply in one.replies],
            )
            for one in turns
        ],
    )


def _values(chat: Chat) -> dict[str, Any]:
    same = {name: getattr(chat, name) for name in ChatOut.model_fields}
    return {**same, "left": chat.left_id, "right": chat.right_id}


def _reply(reply: ChatMessage) -> ReplyOut:
    assert reply.checkpoint_id is not None  # a reply's, says the database
    return ReplyOut(
        id=reply.pk,
        side=ChatMessage.Side(reply.side),
        checkpoint=reply.checkpoint_id,
        state=ChatMessage.State(reply.state),
        text=reply.text,
        error=reply.error,
        sampling=reply.sampling,
        seed=reply.seed,
        tokens=reply.tokens,
        seconds=reply.seconds,
        is_praised=hasattr(reply, "praise"),
    )
