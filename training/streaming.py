"""The door to completions that are read while they are written: begin one, follow it, stop it.

The web process asks and reads; a service on a worker of the queue `sampling` writes
(`training.replies`), the same that answers conversations, with the same model in memory. Between
them is the broker. A checkpoint that is a server elsewhere is asked by the same service, over the
network, and read here like the others.

A caller whose client has left calls `stop`; where it can't, the service notices 15 seconds later.
"""

from __future__ import annotations

import math
import random
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.translation import gettext_noop, ngettext

from annotations.exports.rows import Message
from training import lifecycle, streams, tasks
from training.streams import DIED, MOST_AT_ONCE

MOST_WAITING = 64
"""Requests in the queue; a longer one would be given up by those who wait in it."""
MOST_READERS = 16
"""Streams that this process follows at once: each holds one of its 24 threads (`Procfile`), and
pages must go on answering."""
LONGEST_AWAY_S = 120
"""OpenAI's client gives up at once where it is told to wait for longer."""
LONGEST_REQUEST = 1_000_000
"""Characters of all messages; no model reads so much, and the broker keeps it in memory."""
POLL_S = 1.0
KEEP_EVERY_S = 3.0
HINT_EVERY_S = 10.0
NO_SERVICE_S = 60.0
"""How long a request waits for a service to start."""

AWAY = gettext_noop("The broker does not answer, so no model can be asked. Try again in a minute.")
NO_SERVICE = gettext_noop(
    "No worker took this in. Ask whoever runs this installation to start a worker on the queue "
    "“sampling”, then try again."
)
UNKNOWN = gettext_noop("This answer is not there any more. Ask again.")


@dataclass(frozen=True)
class Generation:
    """What is wanted: the answer of a checkpoint to messages, and how it is sampled."""

    checkpoint_id: int
    messages: list[Message]
    temperature: float = 1.0
    """0 takes the most likely token every time."""
    top_p: float = 0.95
    max_new_tokens: int = 256
    seed: int | None = None
    """None draws one, which the last event tells."""
    stop: tuple[str, ...] = ()
    """The answer ends before the first of these."""


@dataclass(frozen=True)
class Waiting:
    """It waits in the queue."""

    place: int
    """1 is the next."""
    seconds: int
    """How long it will wait, by the pace of the last answers."""


@dataclass(frozen=True)
class Token:
    """The next piece of its text: whole characters, no special tokens."""

    text: str


@dataclass(frozen=True)
class Done:
    """It has ended. No event follows."""

    finish_reason: str
    """`stop`: the end token, a stop text or `stop()`; `length`: the most tokens or the longest
    time."""
    usage: dict[str, int]
    """`prompt_tokens`, `completion_tokens`, `total_tokens`; of a server elsewhere what it tells."""
    seed: int


@dataclass(frozen=True)
class Failed:
    """There is no answer, or only what came by now. No event follows."""

    message: str
    """Says what to do."""
    is_refusal: bool = False
    """The messages can't be answered, however often it is tried: too long, or of a wrong form."""
    code: str = ""
    """`context_length_exceeded` where that is so."""
    again_in: int = 0
    """Of one that found too many others: after how many seconds to ask again."""


@dataclass(frozen=True)
class Heartbeat:
    """Nothing new, for a second."""


Event = Waiting | Token | Done | Failed | Heartbeat


class Busy(Exception):
    """Too much waits already; `seconds` says when to try again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        words = ngettext(
            "Too many people ask the models at this moment. Try again in %(seconds)s second.",
            "Too many people ask the models at this moment. Try again in %(seconds)s seconds.",
            self.seconds,
        )
        return words % {"seconds": self.seconds}


class Unavailable(Exception):
    """It can't be asked for now; the message says what to do."""


_readers = 0
_readers_lock = threading.Lock()


def begin(generation: Generation) -> str:
    """Let a completion wait for its turn and return its id. Raise Busy or Unavailable."""
    request = lifecycle.clean(asdict(generation))
    if sum(len(message["content"]) for message in request["messages"]) > LONGEST_REQUEST:
        raise Unavailable(gettext_noop("The messages are too long for any model. Shorten them."))
    if request["seed"] is None:
        request["seed"] = random.randrange(2**31)
    name = secrets.token_hex(12)
    try:
        waiting = streams.count_waiting()
        if waiting >= MOST_WAITING or _readers >= MOST_READERS:
            raise _busy(name, waiting)
        streams.put(name, request)
        if not streams.is_served() or waiting >= MOST_AT_ONCE:
            tasks.hint_replies()
    except streams.BrokerError:
        raise Unavailable(AWAY) from None
    return name


def events(generation_id: str) -> Iterator[Event]:
    """Yield what happens to a completion, from its beginning, until it is done or has failed.

    At least one event comes every second, so that a client that has left is noticed.
    """
    for _, event in events_of([generation_id]):
        yield event


def events_of(generation_ids: Sequence[str]) -> Iterator[tuple[int, Event]]:
    """Yield the events of several completions as they come, each with its number in the list."""
    with following() as has_room:
        yield from _Reading(generation_ids).events() if has_room else _refused(generation_ids)


@contextmanager
def following() -> Iterator[bool]:
    """Count a reader in, and yield whether this process has a thread to spare for one."""
    global _readers
    with _readers_lock:
        _readers += 1
        has_room = _readers <= MOST_READERS
    try:
        yield has_room
    finally:
        with _readers_lock:
            _readers -= 1


def leave(generation_id: str, *, seconds: int) -> None:
    """Let a completion be written on for so long, until somebody reads it again from the start."""
    try:
        streams.keep([generation_id], seconds=seconds)
    except streams.BrokerError:
        return  # the next reader is told what became of it


def stop(generation_id: str) -> None:
    """End a completion within a token or two; its events end with what is written by then."""
    try:
        if streams.ask_to_stop(generation_id):
            usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
            streams.write(
                generation_id, {"event": "ended", "reason": "stop", "usage": usage, "seed": 0}
            )
    except streams.BrokerError:
        return  # then nobody can read it either, and the service stops it


def _refused(generation_ids: Sequence[str]) -> Iterator[tuple[int, Event]]:
    """Yield that this process follows too many streams already, and stop these."""
    for generation_id in generation_ids:
        stop(generation_id)
    try:
        busy = _busy(generation_ids[0], streams.count_waiting())
        failed = Failed(str(busy), again_in=busy.seconds)
    except streams.BrokerError:
        failed = Failed(AWAY)
    for number in range(len(generation_ids)):
        yield number, failed


def _busy(name: str, waiting: int) -> Busy:
    """Return when to come back: after those who wait, or are answered now, one after the other.

    Told the same, all would come back at once, and most of them for nothing. The pace of a few
    quick answers says little of what a crowd will take.
    """
    each = max(streams.seconds_each(), streams.PACE_UNKNOWN_S)
    place = max(waiting, MOST_AT_ONCE) + streams.count_sent_away(name)
    seconds = min(_seconds(place, each), LONGEST_AWAY_S)
    streams.send_away(name, seconds)
    return Busy(seconds)


def _seconds(place: int, each: float) -> int:
    return max(1, math.ceil(place * each / MOST_AT_ONCE))


class _Reading:
    """Where a reader is in the streams that it follows."""

    def __init__(self, names: Sequence[str]) -> None:
        self.numbers = {name: number for number, name in enumerate(names)}
        self.at = dict.fromkeys(names, "0")
        """The position in each stream that has not ended."""
        self.owners: dict[str, str] = {}
        """The service that took each."""
        self.told: dict[str, Waiting] = {}
        self.nowhere: dict[str, float] = {}
        """Since when each neither waits nor was taken."""
        self.looked = float("-inf")
        self.began = self.kept = self.hinted = time.monotonic()

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield the events of all of them until each has ended."""
        try:
            for name in [name for name in self.at if not streams.is_known(name)]:
                yield self._end(name, Failed(UNKNOWN))
            while self.at:
                yield from self._next()
        except streams.BrokerError:
            for name in list(self.at):
                yield self._end(name, Failed(AWAY))

    def _next(self) -> Iterator[tuple[int, Event]]:
        """Yield how things stand, once a second, and what came; where nothing came, that."""
        if time.monotonic() - self.looked >= POLL_S:
            self.looked = time.monotonic()
            yield from self._standing()
        found = streams.read(self.at, int(POLL_S * 1000)) if self.at else []
        for name, position, message in found:
            if name in self.at:
                self.at[name] = position
                event = self._event(name, message)
                if event is not None:
                    yield self._tell(name, event)
        if time.monotonic() - self.kept >= KEEP_EVERY_S:
            self.kept = time.monotonic()
            streams.keep(list(self.at))
        if not found:
            orphans = [name for name in self.at if self._is_orphan(name)]
            yield from [self._end(name, Failed(DIED)) for name in orphans]
            yield from [(self.numbers[name], Heartbeat()) for name in self.at]

    def _event(self, name: str, message: dict[str, Any]) -> Event | None:
        match message["event"]:
            case "taken":
                self.owners[name] = message["service"]
            case "text":
                return Token(message["text"])
            case "ended":
                return Done(message["reason"], message["usage"], message["seed"])
            case "failed":
                return Failed(
                    message["message"], message.get("refusal", False), message.get("code", "")
                )
        return None

    def _standing(self) -> Iterator[tuple[int, Event]]:
        """Yield the places in the queue that have changed."""
        waiting = [name for name in self.at if name not in self.owners]
        if not waiting:
            return
        each = streams.seconds_each()
        for name, place in zip(waiting, streams.places(waiting), strict=True):
            if place is not None:
                yield from self._place(name, Waiting(place, _seconds(place, each)))
            else:
                self.nowhere.setdefault(name, time.monotonic())
        self._hint()

    def _place(self, name: str, place: Waiting) -> Iterator[tuple[int, Event]]:
        if time.monotonic() - self.began > NO_SERVICE_S and not streams.is_served():
            streams.ask_to_stop(name)
            yield self._end(name, Failed(NO_SERVICE))
        elif self.told.get(name) != place:
            self.told[name] = place
            yield self._tell(name, place)

    def _is_orphan(self, name: str) -> bool:
        """Return whether a service died that had taken it, or was about to."""
        if name in self.owners:
            return not streams.is_alive(self.owners[name])
        return time.monotonic() - self.nowhere.get(name, time.monotonic()) > streams.ALIVE_S

    def _hint(self) -> None:
        if time.monotonic() - self.hinted >= HINT_EVERY_S:
            self.hinted = time.monotonic()
            tasks.hint_replies()

    def _tell(self, name: str, event: Event) -> tuple[int, Event]:
        if isinstance(event, Done | Failed):
            return self._end(name, event)
        return self.numbers[name], event

    def _end(self, name: str, event: Event) -> tuple[int, Event]:
        self.at.pop(name, None)
        return self.numbers[name], event
