"""Lines, strict JSON, and the checks of what every format holds: messages, texts, names, tags.

JSON that Python would take but that others would not (NaN, duplicate keys, integers beyond 64
bits) is refused, because what is collected has to survive every database and every trainer.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import IO, Any

from annotations.algorithms.text import MAX_COMPLETION_CHARS, MAX_PROMPT_CHARS, check_text
from annotations.importers.rows import BadLine, Messages, user_turn

Source = str | bytes | IO[bytes] | IO[str]

MAX_LINE_BYTES = 1024 * 1024
MAX_NAME_CHARS = 200
MAX_TURNS = 100
MAX_TAGS = 20
MAX_INTEGER = 2**63 - 1
ROLES = ("system", "user", "assistant")
SEPARATORS = ",;\t|"
_QUOTED = re.compile(r'"[^"]*"')


def lines_of(source: Source) -> Iterator[tuple[int, bytes | str]]:
    """Yield numbered lines. A line feed ends a line; U+2028 and its like are text."""
    stream: IO[Any]
    if isinstance(source, bytes):
        stream = io.BytesIO(source)
    elif isinstance(source, str):
        stream = io.StringIO(source, newline="\n")
    else:
        stream = source
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        yield number, line
        while len(line) > MAX_LINE_BYTES and not line.endswith(_newline(line)):
            line = stream.readline(MAX_LINE_BYTES + 1)


def _newline(line: bytes | str) -> Any:
    return b"\n" if isinstance(line, bytes) else "\n"


def decoded(raw: bytes | str, *, most: int = MAX_LINE_BYTES) -> str:
    """Return a line as text, if it is UTF-8 and not too long."""
    if len(raw) > most:
        raise BadLine(f"The line is longer than {most:,} bytes. Split it or shorten it.")
    if isinstance(raw, str):
        return raw
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadLine(
            f"Byte {error.start + 1} is not UTF-8. Save the file as UTF-8 and send it again."
        ) from None


def separator_of(head: str) -> str:
    """Return what separates the columns of a CSV file, by its first line.

    >>> separator_of('prompt;"tags, and more"')
    ';'
    """
    return max(SEPARATORS, key=_QUOTED.sub("", head).count)


def parse_object(line: str) -> dict[str, Any]:
    """Return the object on a line of JSON, strictly."""
    try:
        value = _decoder.decode(line)
    except RecursionError:
        raise BadLine("The JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")
        raise BadLine(f"Not JSON: {what} at character {error.pos + 1}.") from None
    if not isinstance(value, dict):
        raise BadLine('A line has to be a JSON object: {"prompt": …}.')
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = Counter(key for key, _ in pairs)
        raise BadLine(f"The key {quoted(keys.most_common(1)[0][0])} is there twice. Keep one.")
    return value


def _refuse_constant(name: str) -> float:
    raise BadLine(f"{name} is not JSON. Leave the value out or write a number.")


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise BadLine(f"The number {literal[:20]} is too large.")
    return value


def _integer(literal: str) -> int:
    if len(literal) > 20 or abs(int(literal)) > MAX_INTEGER:
        raise BadLine(f"The number {literal[:20]} does not fit into 64 bits.")
    return int(literal)


_decoder = json.JSONDecoder(
    object_pairs_hook=_without_duplicates,
    parse_constant=_refuse_constant,
    parse_float=_finite,
    parse_int=_integer,
)


def messages_of(value: Mapping[str, Any]) -> Messages:
    prompt = value.get("prompt", value.get("messages"))
    if isinstance(prompt, str):
        return user_turn(prompt_text(prompt))
    if not isinstance(prompt, list) or not 0 < len(prompt) <= MAX_TURNS:
        raise BadLine(
            f'"prompt" has to be a text, or a list of 1 to {MAX_TURNS} messages with a role and a '
            "content."
        )
    messages = tuple(_message(turn, number) for number, turn in enumerate(prompt, start=1))
    if messages[-1]["role"] != "user":
        raise BadLine("The last message of a prompt has to be the user's.")
    return messages


def _message(turn: Any, number: int) -> Mapping[str, str]:
    if not isinstance(turn, dict) or set(turn) != {"role", "content"}:
        raise BadLine(f"Message {number} has to have a role and a content and nothing else.")
    role, content = turn["role"], turn["content"]
    if role not in ROLES:
        raise BadLine(
            f"The role of message {number} has to be one of {', '.join(ROLES)}, not {quoted(role)}."
        )
    if not isinstance(content, str):
        raise BadLine(f"The content of message {number} has to be a text.")
    return {"role": role, "content": prompt_text(content)}


def prompt_text(value: str) -> str:
    if not value.strip():
        raise BadLine("The prompt is empty.")
    return check_text(value, field="The prompt", max_chars=MAX_PROMPT_CHARS)


def completion_of(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str):
        raise BadLine(f'"{key}" has to be a text.')
    return check_text(text, field=f'"{key}"', max_chars=MAX_COMPLETION_CHARS)


def name_of(value: Mapping[str, Any], *keys: str) -> str:
    """Return the first of the keys that is there, as text; ids are often numbers."""
    found = next((value[key] for key in keys if value.get(key) is not None), "")
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise BadLine(f'"{keys[0]}" has to be a text or a whole number.')
    return check_text(str(found), field=f'"{keys[0]}"', max_chars=MAX_NAME_CHARS)


def tags_of(value: Any) -> tuple[str, ...]:
    tags = [] if value is None else value
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise BadLine('"tags" has to be a list of texts.')
    if len(tags) > MAX_TAGS:
        raise BadLine(f"There are {len(tags)} tags, and at most {MAX_TAGS} fit.")
    return tuple(check_text(tag, field="A tag", max_chars=MAX_NAME_CHARS) for tag in tags)


def quoted(value: Any) -> str:
    """Return a value from the file as it may stand in a sentence, short and printable."""
    return json.dumps(value, ensure_ascii=True)[:60]
