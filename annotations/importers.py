"""From files to rows. Every bad line is listed with its number; nothing is written here.

A file is read line by line, as UTF-8 with or without a byte order mark. JSON that Python would
take but that others would not (NaN, duplicate keys, integers beyond 64 bits) is refused, because
what is collected has to survive every database and every trainer.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from annotations.algorithms.text import (
    MAX_COMPLETION_CHARS,
    MAX_PROMPT_CHARS,
    TextError,
    check_text,
)

Source = str | bytes | IO[bytes] | IO[str]
Messages = tuple[Mapping[str, str], ...]
Row = TypeVar("Row")

PROMPT_FORMATS = ("lines", "jsonl", "csv")
MAX_LINE_BYTES = 1024 * 1024
MAX_NAME_CHARS = 200
MAX_TURNS = 100
MAX_TAGS = 20
MAX_INTEGER = 2**63 - 1
ROLES = ("system", "user", "assistant")
STRENGTHS = ("significantly", "better", "slightly", "negligibly")
OUTCOMES = ("left", "right", "tie", "both_bad")


@dataclass(frozen=True)
class LineError:
    """What is wrong with one line of a file, in words."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"Line {self.line:,}: {self.message}"


@dataclass(frozen=True)
class PromptRow:
    """A prompt to add to a project."""

    messages: Messages
    external_id: str = ""
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> PromptRow:
        """Return the row of a prompt that is one turn by the user."""
        return cls(messages=user_turn(text))


@dataclass(frozen=True)
class DemonstrationRow:
    """A prompt and an ideal answer to it, written elsewhere."""

    messages: Messages
    completion: str

    @classmethod
    def of(cls, prompt: str, completion: str) -> DemonstrationRow:
        """Return the row of an answer to a prompt that is one turn by the user."""
        return cls(messages=user_turn(prompt), completion=completion)


@dataclass(frozen=True)
class VoteRow:
    """What one person said about two completions of a prompt."""

    messages: Messages
    left: str
    right: str
    annotator: str
    outcome: str
    strength: str = ""
    left_model: str = ""
    right_model: str = ""


class _BadLine(Exception):
    """A line cannot be used; the message says why."""


def user_turn(text: str) -> Messages:
    """Return the messages of a prompt that is one turn by the user."""
    return ({"role": "user", "content": text},)


def read_prompts(source: Source, format: str = "lines") -> tuple[list[PromptRow], list[LineError]]:
    """Return the prompts of a file, and what is wrong with every line that has none.

    "lines" has a prompt a line. "jsonl" has `prompt` (text or messages) and may have `id` and
    `tags`. "csv" has a column `prompt` and may have `id` and `tags` (separated by semicolons).
    """
    match format:
        case "lines":
            return _read(_lines(source), _prompt_from_text)
        case "jsonl":
            return _read(_lines(source), lambda line: _prompt_from_object(_parse(line)))
        case "csv":
            return _read_csv(source, _prompt_from_record, column="prompt")
    raise ValueError(f"Prompts are read from {', '.join(PROMPT_FORMATS)}, not from {format!r}.")


def read_demonstrations(
    source: Source, format: str = "jsonl"
) -> tuple[list[DemonstrationRow], list[LineError]]:
    """Return the demonstrations of a JSONL file with `prompt` and `completion` on every line."""
    if format != "jsonl":
        raise ValueError(f"Demonstrations are read from jsonl, not from {format!r}.")
    return _read(_lines(source), lambda line: _demonstration_from_object(_parse(line)))


def read_preferences(
    source: Source, format: str = "jsonl"
) -> tuple[list[VoteRow], list[LineError]]:
    """Return the votes of a file, and what is wrong with every line that has none.

    A line of JSONL is one vote: `prompt`, `left`, `right`, `annotator` (or `worker`), `winner` (or
    `choice`: left, right, tie, both_bad), perhaps `strength`, `left_model`, `right_model`. Or it
    is a pair with its `votes`, a list of objects that have an annotator and a winner. CSV has
    one vote a record, in columns of the same names.
    """
    match format:
        case "jsonl":
            groups, errors = _read(_lines(source), lambda line: _votes_from_object(_parse(line)))
        case "csv":
            groups, errors = _read_csv(source, _votes_from_object, column="prompt")
        case _:
            raise ValueError(f"Preferences are read from jsonl or csv, not from {format!r}.")
    return [vote for votes in groups for vote in votes], errors


def _read(
    lines: Iterator[tuple[int, bytes | str]],
    parse: Callable[[str], Row],
    *,
    keep_blank: bool = False,
) -> tuple[list[Row], list[LineError]]:
    rows: list[Row] = []
    errors: list[LineError] = []
    for number, raw in lines:
        try:
            line = _decoded(raw).removesuffix("\n").removesuffix("\r")
            if number == 1:
                line = line.removeprefix("\ufeff")
            if line.strip() or keep_blank:
                rows.append(parse(line))
        except (_BadLine, TextError) as error:
            errors.append(LineError(number, str(error)))
    return rows, errors


def _lines(source: Source) -> Iterator[tuple[int, bytes | str]]:
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


def _decoded(raw: bytes | str) -> str:
    if len(raw) > MAX_LINE_BYTES:
        raise _BadLine(f"The line is longer than {MAX_LINE_BYTES:,} bytes. Split it or shorten it.")
    if isinstance(raw, str):
        return raw
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _BadLine(
            f"Byte {error.start + 1} is not UTF-8. Save the file as UTF-8 and send it again."
        ) from None


def _read_csv(
    source: Source, parse: Callable[[dict[str, str]], Row], *, column: str
) -> tuple[list[Row], list[LineError]]:
    """Read records instead of lines: a quoted field may run over several."""
    lines: list[str] = []
    _, errors = _read(_lines(source), lines.append, keep_blank=True)
    if errors:
        return [], errors
    reader = csv.reader((f"{line}\n" for line in lines), strict=True)
    rows: list[Row] = []
    header: list[str] | None = None
    start = 1
    while True:
        try:
            record = next(reader)
            if any(cell.strip() for cell in record):
                if header is None:
                    header = _header(record, column)
                else:
                    rows.append(parse(_record(header, record)))
        except StopIteration:
            return rows, errors
        except csv.Error as error:
            return rows, [*errors, LineError(start, f"Not CSV: {error}.")]
        except (_BadLine, TextError) as error:
            errors.append(LineError(start, str(error)))
            if header is None:
                return rows, errors
        start = reader.line_num + 1


def _header(record: Sequence[str], column: str) -> list[str]:
    header = [cell.strip().lower() for cell in record]
    if column not in header:
        raise _BadLine(f'There is no column "{column}". The first line has to name the columns.')
    if len(set(header)) < len(header):
        raise _BadLine("Two columns have the same name. Keep one.")
    return header


def _record(header: Sequence[str], record: Sequence[str]) -> dict[str, str]:
    if len(record) != len(header):
        raise _BadLine(f"There are {len(record)} fields, and the first line names {len(header)}.")
    return dict(zip(header, record, strict=True))


def _parse(line: str) -> dict[str, Any]:
    """Return the object on a line of JSON, strictly."""
    try:
        value = json.loads(
            line,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except RecursionError:
        raise _BadLine("The JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise _BadLine(f"Not JSON: {error.msg} at character {error.pos + 1}.") from None
    if not isinstance(value, dict):
        raise _BadLine('A line has to be a JSON object: {"prompt": …}.')
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = Counter(key for key, _ in pairs)
        raise _BadLine(f"The key {_quoted(keys.most_common(1)[0][0])} is there twice. Keep one.")
    return value


def _refuse_constant(name: str) -> float:
    raise _BadLine(f"{name} is not JSON. Leave the value out or write a number.")


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise _BadLine(f"The number {literal[:20]} is too large.")
    return value


def _integer(literal: str) -> int:
    if len(literal) > 20 or abs(int(literal)) > MAX_INTEGER:
        raise _BadLine(f"The number {literal[:20]} does not fit into 64 bits.")
    return int(literal)


def _prompt_from_text(line: str) -> PromptRow:
    return PromptRow.of(_prompt_text(line.strip()))


def _prompt_from_object(value: Mapping[str, Any]) -> PromptRow:
    return PromptRow(
        messages=_messages(value),
        external_id=_name(value, "id", "external_id"),
        tags=_tags(value.get("tags")),
    )


def _prompt_from_record(record: Mapping[str, str]) -> PromptRow:
    tags = [tag.strip() for tag in record.get("tags", "").split(";")]
    return PromptRow(
        messages=user_turn(_prompt_text(record["prompt"])),
        external_id=_name(record, "id", "external_id"),
        tags=_tags([tag for tag in tags if tag]),
    )


def _demonstration_from_object(value: Mapping[str, Any]) -> DemonstrationRow:
    completion = _completion(value, "completion")
    if not completion.strip():
        raise _BadLine('"completion" is empty. A demonstration has to say something.')
    return DemonstrationRow(messages=_messages(value), completion=completion)


def _votes_from_object(value: Mapping[str, Any]) -> list[VoteRow]:
    votes = value.get("votes", [value])
    if not isinstance(votes, list) or not votes:
        raise _BadLine('"votes" has to be a list with at least one vote.')
    messages = _messages(value)
    left, right = _completion(value, "left"), _completion(value, "right")
    left_model, right_model = _name(value, "left_model"), _name(value, "right_model")
    if (left, left_model) == (right, right_model):
        raise _BadLine("The two completions are the same, so there is nothing to compare.")
    return [VoteRow(messages, left, right, *_vote(vote), left_model, right_model) for vote in votes]


def _vote(value: Any) -> tuple[str, str, str]:
    """Return the annotator, the outcome and the strength of a vote."""
    if not isinstance(value, dict):
        raise _BadLine("A vote has to be an object with an annotator and a winner.")
    annotator = _name(value, "annotator", "worker")
    if not annotator.strip():
        raise _BadLine('There is no "annotator". Give every vote the name or number of its author.')
    outcome = value.get("winner", value.get("choice"))
    if outcome not in OUTCOMES:
        raise _BadLine(f'"winner" has to be one of {", ".join(OUTCOMES)}, not {_quoted(outcome)}.')
    strength = value.get("strength") or ""
    if strength and (strength not in STRENGTHS or outcome not in ("left", "right")):
        raise _BadLine(
            f'"strength" has to be one of {", ".join(STRENGTHS)}, and only with a winner; '
            f"not {_quoted(strength)}."
        )
    return annotator, outcome, strength


def _messages(value: Mapping[str, Any]) -> Messages:
    prompt = value.get("prompt", value.get("messages"))
    if isinstance(prompt, str):
        return user_turn(_prompt_text(prompt))
    if not isinstance(prompt, list) or not 0 < len(prompt) <= MAX_TURNS:
        raise _BadLine(
            f'"prompt" has to be a text, or a list of 1 to {MAX_TURNS} messages with a role and a '
            "content."
        )
    messages = tuple(_message(turn, number) for number, turn in enumerate(prompt, start=1))
    if messages[-1]["role"] != "user":
        raise _BadLine("The last message of a prompt has to be the user's.")
    return messages


def _message(turn: Any, number: int) -> Mapping[str, str]:
    if not isinstance(turn, dict) or set(turn) != {"role", "content"}:
        raise _BadLine(f"Message {number} has to have a role and a content and nothing else.")
    role, content = turn["role"], turn["content"]
    if role not in ROLES:
        raise _BadLine(
            f"The role of message {number} has to be one of {', '.join(ROLES)}, "
            f"not {_quoted(role)}."
        )
    if not isinstance(content, str):
        raise _BadLine(f"The content of message {number} has to be a text.")
    return {"role": role, "content": _prompt_text(content)}


def _prompt_text(value: str) -> str:
    if not value.strip():
        raise _BadLine("The prompt is empty.")
    return check_text(value, field="The prompt", max_chars=MAX_PROMPT_CHARS)


def _completion(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str):
        raise _BadLine(f'"{key}" has to be a text.')
    return check_text(text, field=f'"{key}"', max_chars=MAX_COMPLETION_CHARS)


def _name(value: Mapping[str, Any], *keys: str) -> str:
    """Return the first of the keys that is there, as text; ids are often numbers."""
    found = next((value[key] for key in keys if value.get(key) is not None), "")
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise _BadLine(f'"{keys[0]}" has to be a text or a whole number.')
    return check_text(str(found), field=f'"{keys[0]}"', max_chars=MAX_NAME_CHARS)


def _tags(value: Any) -> tuple[str, ...]:
    tags = [] if value is None else value
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _BadLine('"tags" has to be a list of texts.')
    if len(tags) > MAX_TAGS:
        raise _BadLine(f"There are {len(tags)} tags, and at most {MAX_TAGS} fit.")
    return tuple(check_text(tag, field="A tag", max_chars=MAX_NAME_CHARS) for tag in tags)


def _quoted(value: Any) -> str:
    """Return a value from the file as it may stand in a sentence, short and printable."""
    return json.dumps(value, ensure_ascii=True)[:60]
