"""Chats with checkpoints: what a person says, and the one place where a reply is written down.

A reply waits until somebody reads it: `write_reply` claims it, draws it through the streaming door
and keeps what came, about once a second and at its end. Whoever looks on meanwhile, from another
tab, is told what was kept. A reader who goes away stops the reply; its text so far stays. One who
may wait for so long only leaves it written on: it waits again, and the next reader goes on there.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from annotations import services as collecting
from annotations.algorithms.text import MAX_PROMPT_CHARS, TextError, check_text, unix_newlines
from annotations.exports.rows import Message
from training import lifecycle, streaming
from training.models import Chat, ChatMessage, Checkpoint, Praise
from training.services.refusals import ServiceError, check_checkpoint

if TYPE_CHECKING:
    from annotations.models import Project, User

logger = logging.getLogger(__name__)

State, Role, Side = ChatMessage.State, ChatMessage.Role, ChatMessage.Side

KEEP_EVERY_S = 1.0
LOOK_EVERY_S = 0.5
ABANDONED_AFTER = timedelta(seconds=30)
"""A reply that was begun and has shown no sign of life for so long lost its reader."""
WAITED_FOR_S = 20.0
"""How long a request that gets a reply whole waits for it: it holds a thread of its process."""
LONGEST_TITLE = 60
MOST_TURNS = 200


@dataclass(frozen=True)
class Choice:
    """Who answers, and how answers are drawn."""

    left: Checkpoint
    right: Checkpoint | None = None
    temperature: float = 1.0
    top_p: float = 0.95
    max_new_tokens: int = 256
    seed: int | None = None


@dataclass(frozen=True)
class News:
    """What whoever shows a reply is told while it comes."""

    kind: str
    """`place` while it waits in line, `token`, `text` (all of it so far), `beat`, and last `end`,
    or `later` where the reader may wait no longer."""
    text: str = ""


@transaction.atomic
def start_chat(project: Project, person: User, text: str, choice: Choice) -> Chat:
    """Begin a chat with its first message; the replies wait for a reader."""
    text = _checked(text)
    _check_choice(project, choice)
    words = " ".join(text.split())
    title = words if len(words) <= LONGEST_TITLE else f"{words[: LONGEST_TITLE - 1]}…"
    chat = Chat.objects.create(project=project, person=person, title=title, **_fields(choice))
    _add_turn(chat, 0, text, choice)
    return chat


@transaction.atomic
def say(chat: Chat, text: str, choice: Choice, *, turn: int) -> None:
    """Add a message as turn number `turn`, which is how many turns the person has seen."""
    text = _checked(text)
    _check_choice(chat.project, choice)
    _lock_between_turns(chat, turn)
    if turn >= MOST_TURNS:
        raise ServiceError(f"A chat has at most {MOST_TURNS} turns. Begin a new one.")
    Chat.objects.filter(id=chat.pk).update(said_at=Now(), **_fields(choice))
    _add_turn(chat, turn, text, choice)


@transaction.atomic
def say_differently(chat: Chat, text: str, choice: Choice, *, turn: int) -> None:
    """Put another message in the place of the last, `turn`, and ask for its replies."""
    text = _checked(text)
    _check_choice(chat.project, choice)
    _lock_between_turns(chat, turn + 1)
    chat.messages.filter(turn=turn, is_current=True).update(is_current=False)
    Chat.objects.filter(id=chat.pk).update(said_at=Now(), **_fields(choice))
    _add_turn(chat, turn, text, choice)


@transaction.atomic
def ask_again(reply: ChatMessage) -> None:
    """Ask the same checkpoint for another reply to the last message, with another seed.

    Where the chat has a seed of its own the next reply gets the next number, or it would be the
    same again.
    """
    chat = reply.chat
    _lock_between_turns(chat, reply.turn + 1)
    if not ChatMessage.objects.filter(id=reply.pk, is_current=True).exists():
        raise ServiceError("That reply was asked for again already. Read the newer one.")
    assert reply.checkpoint is not None  # a reply's, says the database
    check_checkpoint(chat.project, reply.checkpoint, "chat with")
    ChatMessage.objects.filter(id=reply.pk).update(is_current=False)
    earlier = chat.messages.filter(turn=reply.turn, side=reply.side).count()
    seed = None if chat.seed is None else (chat.seed + earlier) % 2**31
    _add_reply(chat, reply.turn, Side(reply.side), reply.checkpoint, reply.sampling, seed)


def stop_reply(reply: ChatMessage) -> None:
    """End a reply where it is. One that has ended stays as it is."""
    row = ChatMessage.objects.filter(id=reply.pk)
    waited = row.filter(state=State.WAITING).update(state=State.STOPPED, finish_reason="stop")
    if not waited and not row.filter(state=State.WRITING).update(stop_asked=True):
        return
    reply.refresh_from_db()
    if reply.generation:
        streaming.stop(reply.generation)
    _give_up_abandoned(reply.chat)


def write_reply(
    reply: ChatMessage, *, within_s: float = math.inf, asks_again: bool = False
) -> Generator[News]:
    """Yield a reply as it comes, and write it down; where another reader does, look on.

    After `within_s` seconds the reader leaves, and what was begun goes on for half a minute, in
    which whoever asks for it gets it from its beginning. Then it counts as left alone. Of a reader
    who asks again a reply for which there is no room waits; else it fails, and says so.
    """
    until = time.monotonic() + within_s
    waiting = ChatMessage.objects.filter(id=reply.pk, state=State.WAITING)
    while True:
        _give_up_abandoned(reply.chat)
        if waiting.update(state=State.WRITING, seen_at=Now()):
            reply.refresh_from_db()
            yield from _Writing(reply, until, asks_again=asks_again).news()
            return
        reply.refresh_from_db()
        if not reply.is_open:
            yield News("end")
            return
        with streaming.following() as has_room:
            if not has_room or time.monotonic() >= until:
                yield News("later")
                return
            yield from _look_on(reply, until)


class _Writing:
    """One reply while it is drawn. It ends here, or goes on with the next reader."""

    def __init__(self, reply: ChatMessage, until: float, *, asks_again: bool) -> None:
        self.reply = reply
        self.until = until
        self.asks_again = asks_again
        self.kept_at = time.monotonic()
        self.began = self.kept_at - (reply.seconds or 0)
        self.pieces: list[str] = []
        # What holds if the reader goes away: a generator that is closed stops where it yields.
        self.end: dict[str, Any] = {"state": State.STOPPED, "finish_reason": "stop"}
        self.is_over = False

    def news(self) -> Iterator[News]:
        generation = self.reply.generation
        try:
            if generation:
                yield News("text")  # it comes again from its beginning
            else:
                generation = streaming.begin(_generation(self.reply))
            if self._keep(generation=generation):
                streaming.stop(generation)
            for event in streaming.events(generation):
                yield from self._take_in(event)
                if time.monotonic() >= self.until and self.end["state"] == State.STOPPED:
                    self._leave(generation)
                    yield News("later")
                    return
                if time.monotonic() - self.kept_at >= KEEP_EVERY_S:
                    self._keep()
            self.is_over = True
        except streaming.Busy as error:
            if self.asks_again:  # nothing was begun, so it waits as before
                self._still_mine().update(state=State.WAITING, seen_at=None)
                yield News("later")
                return
            self.end = _failure(str(error))
        except (ServiceError, streaming.Unavailable) as error:
            self.end, self.is_over = _failure(str(error)), True
        except Exception:  # what the door did not foresee; the page must not wait for ever
            logger.exception("The reply %s broke off.", self.reply.pk)
            self.end = _failure("The reply broke off; the server's log says why. Ask again.")
        finally:
            if generation and not self.is_over:
                streaming.stop(generation)
            self._write_end()
        yield News("end")

    def _take_in(self, event: streaming.Event) -> Iterator[News]:
        match event:
            case streaming.Waiting():
                yield News("place", _place(event))
            case streaming.Token(text):
                self.pieces.append(text)
                yield News("token", text)
            case streaming.Done(reason, usage):
                tokens = usage.get("completion_tokens")
                self.end = {"state": State.DONE, "finish_reason": reason[:20], "tokens": tokens}
            case streaming.Failed(message):
                self.end = _failure(message)
            case streaming.Heartbeat():
                yield News("beat")

    def _leave(self, generation: str) -> None:
        """Let it be written on, for whoever asks for it next."""
        streaming.leave(generation, seconds=int(ABANDONED_AFTER.total_seconds()))
        self._keep(state=State.WAITING, seconds=self._seconds())
        self.is_over = True

    def _keep(self, **changes: Any) -> bool:
        """Write what came so far. Return whether somebody asked to stop."""
        self.kept_at = time.monotonic()
        writing = self._still_mine()
        writing.update(text=self._text(), seen_at=Now(), **changes)
        return writing.filter(stop_asked=True).exists()

    def _still_mine(self) -> QuerySet[ChatMessage]:
        return ChatMessage.objects.filter(id=self.reply.pk, state=State.WRITING)

    def _write_end(self) -> None:
        writing = self._still_mine()
        if self.end["state"] == State.DONE and writing.filter(stop_asked=True).exists():
            self.end["state"] = State.STOPPED
        writing.update(text=self._text(), seconds=self._seconds(), **lifecycle.clean(self.end))

    def _seconds(self) -> float:
        return round(time.monotonic() - self.began, 3)

    def _text(self) -> str:
        """Return what came so far: what an earlier reader kept, until it has come again."""
        return max(str(lifecycle.clean("".join(self.pieces))), self.reply.text, key=len)


def _look_on(reply: ChatMessage, until: float) -> Iterator[News]:
    """Tell what another reader keeps, while that one reads."""
    while reply.state == State.WRITING and time.monotonic() < until:
        yield News("text", reply.text)
        time.sleep(LOOK_EVERY_S)
        _give_up_abandoned(reply.chat)
        reply.refresh_from_db()


def _give_up_abandoned(chat: Chat) -> None:
    """End replies that were begun and whose reader did not come back; what was kept stays."""
    silent = chat.messages.filter(state__in=ChatMessage.OPEN, seen_at__lt=Now() - ABANDONED_AFTER)
    silent.update(state=State.STOPPED, finish_reason="stop")


@transaction.atomic
def report_reply(reply: ChatMessage, person: User, reason: str, words: str = "") -> None:
    """Open a ticket about a reply that was written, with the conversation that it answers."""
    if not reply.is_current or reply.state not in (State.DONE, State.STOPPED):
        raise ServiceError("Only a reply that was written, and is shown, can be reported.")
    said = [{"role": turn["role"], "content": turn["content"]} for turn in _conversation(reply)]
    Praise.objects.filter(reply=reply, person=person).delete()  # it is good no more
    try:
        collecting.report_answer(
            reply.chat.project,
            said,
            reply.text,
            person,
            reason,
            words,
            source="chat",
            checkpoint_id=reply.checkpoint_id,
        )
    except collecting.ServiceError as error:
        raise ServiceError(str(error)) from None


def _generation(reply: ChatMessage) -> streaming.Generation:
    assert reply.checkpoint is not None  # a reply's, says the database
    check_checkpoint(reply.chat.project, reply.checkpoint, "chat with")
    return streaming.Generation(
        checkpoint_id=reply.checkpoint.pk,
        messages=_conversation(reply),
        seed=reply.seed,
        **reply.sampling,
    )


def _conversation(reply: ChatMessage) -> list[Message]:
    """Return what was said before on the reply's side, and the message to answer.

    Where a side was not there yet the other's reply stands in. A turn that nobody answered is
    left out with its message: models take messages and replies in turn.
    """
    current = reply.chat.messages.filter(is_current=True, turn__lte=reply.turn)
    asked: dict[int, str] = {}
    replies: dict[int, dict[str, str]] = {}
    for message in current:
        if message.role == Role.USER:
            asked[message.turn] = message.text
        elif message.text and message.turn < reply.turn:
            replies.setdefault(message.turn, {})[message.side] = message.text
    messages: list[Message] = []
    for turn, answers in sorted(replies.items()):
        answer = answers.get(reply.side) or next(iter(answers.values()))
        messages += [_message(Role.USER, asked[turn]), _message(Role.ASSISTANT, answer)]
    return [*messages, _message(Role.USER, asked[reply.turn])]


def _message(role: str, text: str) -> Message:
    return {"role": str(role), "content": text}


def _place(event: streaming.Waiting) -> str:
    return f"Number {event.place} in line, about {event.seconds} s"


def _failure(message: str) -> dict[str, Any]:
    return {"state": State.FAILED, "error": message.strip() or "The reply failed. Ask again."}


def _checked(text: str) -> str:
    text = unix_newlines(text).strip()
    if not text:
        raise ServiceError("The message is empty. Write something, then send it.")
    try:
        return check_text(text, field="The message", max_chars=MAX_PROMPT_CHARS)
    except TextError as error:
        raise ServiceError(str(error)) from None


def _check_choice(project: Project, choice: Choice) -> None:
    if choice.right is not None and choice.right.pk == choice.left.pk:
        raise ServiceError("Side by side takes two different checkpoints. Choose another one.")
    for checkpoint in filter(None, (choice.left, choice.right)):
        check_checkpoint(project, checkpoint, "chat with")


def _fields(choice: Choice) -> dict[str, Any]:
    return dict(vars(choice))


def _lock_between_turns(chat: Chat, turns: int) -> None:
    """Make sure that the chat has so many turns, as the page showed, and that all are answered."""
    Chat.objects.select_for_update(no_key=True).get(id=chat.pk)
    _give_up_abandoned(chat)
    current = chat.messages.filter(is_current=True)
    if current.filter(role=Role.USER).count() != turns:
        raise ServiceError(
            "This chat has gone on in another window. Load the page again to read what came; "
            "copy what you wrote first."
        )
    if current.filter(state__in=ChatMessage.OPEN).exists():
        raise ServiceError("The last message is still being answered. Wait for it, or stop it.")


def _add_turn(chat: Chat, turn: int, text: str, choice: Choice) -> None:
    chat.messages.create(turn=turn, role=Role.USER, text=text)
    sampling = {
        "temperature": choice.temperature,
        "top_p": choice.top_p,
        "max_new_tokens": choice.max_new_tokens,
    }
    _add_reply(chat, turn, Side.LEFT, choice.left, sampling, choice.seed)
    if choice.right is not None:
        _add_reply(chat, turn, Side.RIGHT, choice.right, sampling, choice.seed)


def _add_reply(
    chat: Chat,
    turn: int,
    side: ChatMessage.Side,
    checkpoint: Checkpoint,
    sampling: dict[str, Any],
    seed: int | None,
) -> None:
    chat.messages.create(
        turn=turn,
        role=Role.ASSISTANT,
        side=side,
        checkpoint=checkpoint,
        state=State.WAITING,
        sampling=sampling,
        seed=random.randrange(2**31) if seed is None else seed,
    )
