"""What a program asks for in `POST /v1/chat/completions`, checked.

As with OpenAI, null is the same as nothing, and unknown fields are ignored. What would change the
answer and can't be done here is refused, not overlooked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from annotations.exports.rows import Message

LONGEST_BODY = 2**20
MOST_MESSAGES = 1000
MOST_CHOICES = 8
MOST_STOPS = 4
LONGEST_STOP = 200
DEFAULT_MAX_TOKENS = 1024
MOST_TOKENS = 8192
LARGEST_SEED = 2**63
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
ONLY_AT_0 = ("frequency_penalty", "presence_penalty")
NOT_HERE = ("tools", "functions", "logit_bias", "logprobs", "top_logprobs", "audio", "prediction")


class BadRequest(Exception):
    """The request can't be carried out; `param` names the field and the message says why."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


@dataclass(frozen=True)
class ChatRequest:
    """What is asked for."""

    model: str
    messages: list[Message]
    temperature: float
    top_p: float
    max_tokens: int
    choices: int
    stop: tuple[str, ...]
    seed: int | None
    is_stream: bool
    wants_usage: bool
    """At the end of a stream."""


def read_chat_request(body: bytes) -> ChatRequest:
    """Return what is asked for. Raise BadRequest where that makes no sense."""
    values = _json(body)
    for name in ONLY_AT_0:
        if values.get(name):
            raise BadRequest(f"{name} is only taken at 0 here. Leave it out.", name)
    for name in NOT_HERE:
        if values.get(name):
            raise BadRequest(f"{name} can't be done by these models. Leave it out.", name)
    shape = values.get("response_format")
    if shape is not None and (not isinstance(shape, dict) or shape.get("type") != "text"):
        raise BadRequest(
            "response_format is only taken as {'type': 'text'}. Leave it out.", "response_format"
        )
    is_stream = _flag(values, "stream")
    options = values.get("stream_options")
    if options is not None and not (is_stream and isinstance(options, dict)):
        raise BadRequest(
            "stream_options is an object, and only for stream: true. Leave it out.",
            "stream_options",
        )
    renamed = values.get("max_completion_tokens") is not None
    return ChatRequest(
        model=_model(values),
        messages=_messages(values),
        temperature=_number(values, "temperature", 1.0, 0, 2),
        top_p=_number(values, "top_p", 1.0, 0, 1),
        max_tokens=_whole(
            values,
            "max_completion_tokens" if renamed else "max_tokens",
            DEFAULT_MAX_TOKENS,
            1,
            MOST_TOKENS,
        ),
        choices=_whole(values, "n", 1, 1, MOST_CHOICES),
        stop=_stops(values),
        seed=_seed(values),
        is_stream=is_stream,
        wants_usage=_flag(options or {}, "include_usage"),
    )


def too_large(length: object) -> BadRequest:
    """Return what is said of a body of so many bytes."""
    return BadRequest(
        f"The request has {length} bytes; {LONGEST_BODY} are read at most. Shorten the messages.",
        code="request_too_large",
    )


def _json(body: bytes) -> dict[str, Any]:
    if len(body) > LONGEST_BODY:
        raise too_large(len(body))
    try:
        values = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON that can be read ({error}).") from None
    if not isinstance(values, dict):
        raise BadRequest("The body is a JSON object with a model and messages.")
    return values


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")


def _model(values: dict[str, Any]) -> str:
    model = values.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("Name a model; GET /v1/models lists those of this token.", "model")
    return model


def _messages(values: dict[str, Any]) -> list[Message]:
    messages = values.get("messages")
    if not isinstance(messages, list) or not 1 <= len(messages) <= MOST_MESSAGES:
        raise BadRequest(
            f"messages is a list of 1 to {MOST_MESSAGES} messages, the oldest first.", "messages"
        )
    return [_message(message, f"messages[{number}]") for number, message in enumerate(messages)]


def _message(message: Any, place: str) -> Message:
    if not isinstance(message, dict):
        raise BadRequest(f"{place} is an object with a role and a content.", place)
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise BadRequest(f"{place}.role is one of {', '.join(ROLES)}.", f"{place}.role")
    return {"role": ROLES[role], "content": _content(message.get("content"), f"{place}.content")}


def _content(content: Any, place: str) -> str:
    """Return the text of a message: a text, or a list of parts that are text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise BadRequest(f"{place} is a text, or a list of parts of the type text.", place)
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        if not isinstance(text, str):
            raise BadRequest(f"{place} has a part that is not text; only text is read.", place)
        texts.append(text)
    return "".join(texts)


def _number(values: dict[str, Any], name: str, default: float, least: float, most: float) -> float:
    value = default if values.get(name) is None else values[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        raise BadRequest(f"{name} is a number from {least:g} to {most:g}.", name)
    return float(value)


def _whole(values: dict[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = default if values.get(name) is None else values[name]
    if type(value) is not int or not least <= value <= most:
        raise BadRequest(f"{name} is a whole number from {least} to {most}.", name)
    return value


def _flag(values: dict[str, Any], name: str) -> bool:
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"{name} is true or false.", name)
    return bool(value)


def _seed(values: dict[str, Any]) -> int | None:
    seed = values.get("seed")
    if seed is None:
        return None
    if type(seed) is not int or not -LARGEST_SEED <= seed < LARGEST_SEED:
        raise BadRequest("seed is a whole number of 64 bits.", "seed")
    return seed % LARGEST_SEED


def _stops(values: dict[str, Any]) -> tuple[str, ...]:
    stop = values.get("stop")
    stops = [] if stop is None else [stop] if isinstance(stop, str) else stop
    is_list = isinstance(stops, list) and len(stops) <= MOST_STOPS
    if not is_list or not all(isinstance(s, str) and 0 < len(s) <= LONGEST_STOP for s in stops):
        raise BadRequest(
            f"stop is a text, or a list of {MOST_STOPS} at most, each of 1 to {LONGEST_STOP} "
            "characters.",
            "stop",
        )
    return tuple(stops)
