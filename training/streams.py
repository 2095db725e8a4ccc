"""What passes through the broker between who reads a streamed completion and who writes it.

A request waits in one queue for whichever service takes it first. Its events are a stream of their
own, which ends by itself when nobody writes or reads it any more. Nothing here is kept: unlike a
turn, a streamed completion is of no use to anybody once its reader has gone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings
from django.utils.translation import gettext_noop
from redis.backoff import NoBackoff
from redis.retry import Retry

from training.broker_url import address

BrokerError = redis.RedisError
BrokerRefuses = redis.ResponseError
"""It answers, and does not do what was asked."""

PREFIX = "labelstudio-llm:streams:"
WAITING, PACE, SERVED = f"{PREFIX}waiting", f"{PREFIX}pace", f"{PREFIX}served"
SENT_AWAY = f"{PREFIX}sent-away"
MOST_AT_ONCE = 16
"""Completions that a service has written side by side."""
READER_S = 15
"""A completion whose reader gives no sign of life for so long is stopped."""
ALIVE_S = 10
"""A service that gives no sign of life for so long is taken for dead."""
TRIED_S = 60
EXPIRES_S = 600
"""After so long without a new event a stream is forgotten."""
READ_AGAIN_S = 60
"""For so long a stream that has ended can be read from its beginning."""
ENDS = ("ended", "failed")
MOST_EVENTS = 20_000
PACE_UNKNOWN_S = 10.0
"""How long a completion takes, until one was measured."""
PACE_EXPIRES_S = 24 * 3600

DIED = gettext_noop("The process that wrote this answer has ended. Ask again.")

Message = dict[str, Any]


@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    """Return the connections to the broker; a thread that reads holds one of them."""
    return redis.Redis.from_url(
        address(url),
        decode_responses=True,
        protocol=2,
        socket_timeout=5,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 0),
    )


def _broker() -> redis.Redis:
    return _client(settings.CELERY_BROKER_URL)


def connection() -> redis.Redis:
    """Return the connections to the broker, for the little else that passes through it."""
    return _broker()


def _key(name: str, what: str) -> str:
    return f"{PREFIX}{name}:{what}"


def try_to_write() -> None:
    """Write something that is soon forgotten. One that is full or a replica answers a ping, too."""
    _broker().set(f"{PREFIX}tried", 1, ex=TRIED_S)


def length_of(key: str) -> int:
    """Return how many messages wait in a list of the broker."""
    length: int = _broker().llen(key)
    return length


# For who reads -----------------------------------------------------------------------------


def put(name: str, request: Message) -> None:
    """Let a request wait for a service."""
    with _broker().pipeline() as pipe:
        pipe.set(_key(name, "request"), json.dumps(request), ex=EXPIRES_S)
        pipe.set(_key(name, "reader"), 1, ex=READER_S)
        pipe.zadd(WAITING, {name: time.time()})
        pipe.execute()


def count_waiting() -> int:
    """Return how many requests wait, without those that everybody has forgotten."""
    with _broker().pipeline() as pipe:
        pipe.zremrangebyscore(WAITING, 0, time.time() - EXPIRES_S)
        pipe.zcard(WAITING)
        return int(pipe.execute()[1])


def count_sent_away(name: str) -> int:
    """Return how many were told to come back and have yet to, before this one, which must, too."""
    now = time.time()
    with _broker().pipeline() as pipe:
        pipe.zremrangebyscore(SENT_AWAY, 0, now)
        pipe.zcard(SENT_AWAY)
        pipe.zadd(SENT_AWAY, {name: now + EXPIRES_S})
        pipe.expire(SENT_AWAY, EXPIRES_S)
        return int(pipe.execute()[1])


def send_away(name: str, seconds: int) -> None:
    """Note when one that was counted comes back."""
    _broker().zadd(SENT_AWAY, {name: time.time() + seconds})


def places(names: Sequence[str]) -> list[int | None]:
    """Return the place of each request in the queue, from 1; None where it does not wait."""
    with _broker().pipeline() as pipe:
        for name in names:
            pipe.zrank(WAITING, name)
        return [None if rank is None else int(rank) + 1 for rank in pipe.execute()]


def keep(names: Sequence[str], seconds: int | None = None) -> None:
    """Say that somebody reads these, and will say so again within some seconds."""
    with _broker().pipeline() as pipe:
        for name in names:
            pipe.set(_key(name, "reader"), 1, ex=seconds or READER_S)
        pipe.execute()


def read(after: Mapping[str, str], wait_ms: int) -> list[tuple[str, str, Message]]:
    """Return (name, position, event) of what was written after the given positions.

    Where there is nothing, wait for the first.
    """
    wanted: Any = {_key(name, "events"): at for name, at in after.items()}
    found: Any = _broker().xread(wanted, block=wait_ms)
    return [
        (key.removeprefix(PREFIX).removesuffix(":events"), at, json.loads(fields["event"]))
        for key, entries in found or []
        for at, fields in entries
    ]


def ask_to_stop(name: str) -> bool:
    """Ask for a completion's end. Return whether it still waited; then nobody else will end it."""
    with _broker().pipeline() as pipe:
        pipe.set(_key(name, "stop"), 1, ex=EXPIRES_S)
        pipe.zrem(WAITING, name)
        return bool(pipe.execute()[1])


def is_known(name: str) -> bool:
    """Return whether a request of this name was made lately."""
    return bool(_broker().exists(_key(name, "request"), _key(name, "events")))


def is_alive(service: str) -> bool:
    """Return whether a service gave a sign of life lately."""
    return bool(_broker().exists(_key(service, "alive")))


def is_served() -> bool:
    """Return whether any service gave a sign of life lately."""
    return bool(_broker().exists(SERVED))


def seconds_each() -> float:
    """Return how long a completion took lately."""
    pace = _broker().get(PACE)
    return float(pace) if pace else PACE_UNKNOWN_S


# For who writes ----------------------------------------------------------------------------


def take() -> tuple[str, Message] | None:
    """Return the request that has waited longest, and its name; None where none waits."""
    while popped := _broker().zpopmin(WAITING):
        name = str(popped[0][0])
        request = _broker().get(_key(name, "request"))
        if request is not None:
            return name, json.loads(request)
    return None


def write(name: str, event: Message) -> None:
    """Add an event to a stream."""
    key = _key(name, "events")
    with _broker().pipeline() as pipe:
        pipe.xadd(key, {"event": json.dumps(event)}, maxlen=MOST_EVENTS)
        pipe.expire(key, READ_AGAIN_S if event["event"] in ENDS else EXPIRES_S)
        pipe.execute()


def unwanted(names: Sequence[str]) -> set[str]:
    """Return those that are to be stopped, or that nobody reads any more."""
    if not names:
        return set()
    keys = [_key(name, what) for name in names for what in ("reader", "stop")]
    found = _broker().mget(keys)
    pairs = zip(names, found[::2], found[1::2], strict=True)
    return {name for name, reader, stop in pairs if stop or not reader}


def announce(service: str) -> None:
    """Say that a service lives."""
    with _broker().pipeline() as pipe:
        pipe.set(_key(service, "alive"), 1, ex=ALIVE_S)
        pipe.set(SERVED, 1, ex=ALIVE_S)
        pipe.execute()


def take_leave(service: str) -> None:
    """Say that a service ends, so that the next request wakes another."""
    _broker().delete(_key(service, "alive"), SERVED)


def note_pace(seconds: float) -> None:
    """Take into account how long a completion took."""
    _broker().set(PACE, 0.8 * seconds_each() + 0.2 * seconds, ex=PACE_EXPIRES_S)
