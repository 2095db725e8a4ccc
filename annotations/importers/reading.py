"""How a file is read: what its rows are, which column is what, and the values in a column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from annotations.algorithms.text import MAX_COMPLETION_CHARS, MAX_REASON_CHARS, check_text
from annotations.importers.parsing import messages_of, name_of, quoted, tags_of
from annotations.importers.records import Candidate
from annotations.importers.rows import BadLine, Messages

UNNAMED = "unnamed"
"""Who said what a file does not say who said."""
MOST_DEPTH = 3
MOST_CANDIDATES = 9
"""Completions of one prompt that people see together."""

TARGETS = {
    "prompt": "Prompt",
    "context": "Below the prompt",
    "completion": "Completion",
    "chosen": "Chosen completion",
    "rejected": "Rejected completion",
    "left": "First completion",
    "right": "Second completion, and those numbered on",
    "completions": "Completions (a list)",
    "ranks": "Ranks (a list, 1 is best)",
    "winner": "Which is better",
    "label": "Whether it is good",
    "strength": "How much better",
    "annotator": "Who said so",
    "votes": "Votes (a list)",
    "reason": "Reason",
    "left_model": "Model of the first",
    "right_model": "Model of the second",
    "model": "Model of the completion",
    "id": "Id",
    "tags": "Tags",
}
"""What a column may be."""

KNOWN_NAMES: dict[str, tuple[str, ...]] = {
    "prompt": (
        "prompt",
        "messages",
        "conversations",
        "instruction",
        "question",
        "query",
        "input.messages",
        "dialogue",
        "text",
        "user",
    ),
    "context": ("input", "context", "instances.0.input"),
    "completion": (
        "completion",
        "response",
        "answer",
        "output",
        "instances.0.output",
        "target",
        "english",
        "generation",
    ),
    "chosen": ("chosen", "chosen_response", "preferred_output", "preferred", "accepted"),
    "rejected": ("rejected", "rejected_response", "non_preferred_output", "dispreferred"),
    "left": (
        "left",
        "answer1",
        "response1",
        "response_a",
        "answer_a",
        "completion_a",
        "result_x",
        "output_1",
        "response-1",
    ),
    "right": (
        "right",
        "answer2",
        "response2",
        "response_b",
        "answer_b",
        "completion_b",
        "result_y",
        "output_2",
        "response-2",
    ),
    "completions": ("completions", "responses", "answers", "items", "outputs"),
    "ranks": ("ranks", "ranking", "rank"),
    "winner": ("winner", "choice", "preference", "label", "verdict", "annotator1"),
    "label": ("label",),
    "strength": ("strength",),
    "annotator": ("annotator", "worker", "judge", "user_id", "annotator_id", "rater"),
    "votes": ("votes",),
    "reason": ("reason", "explanation", "comment"),
    "left_model": ("left_model", "model_a", "model_x"),
    "right_model": ("right_model", "model_b", "model_y"),
    "model": ("model", "model_name"),
    "id": ("id", "external_id", "idx", "question_id", "message_id"),
    "tags": ("tags",),
}
"""Names that columns have in public data, the likeliest first."""

STRENGTHS = ("significantly", "better", "slightly", "negligibly")
_WINNERS = {
    "left": ("left", "a", "1", "model_a", "answer1", "response1", "first", "chosen", "model_x"),
    "right": ("right", "b", "2", "model_b", "answer2", "response2", "second", "model_y"),
    "tie": ("tie", "0", "equal", "same", "draw", "no preference", "about the same"),
    "both_bad": ("both_bad", "both bad", "tie (bothbad)", "bothbad", "neither"),
}
_WINNER_OF = {name: outcome for outcome, names in _WINNERS.items() for name in names}
_GOOD = {"true": 1, "1": 1, "false": 0, "0": 0}
_NUMBERED = re.compile(r"(.*?)(\d{1,3})")
_WRITTEN_BELOW = re.compile(r"[\s_-]+")
_NOT_KEPT = re.compile("[\x00\ud800-\udfff]")
"""What no database and no answer holds: such a text is refused, and no column is called so."""


@dataclass(frozen=True)
class Reading:
    """What the rows of a file are, which column is what, and who said what nobody signed."""

    format: str
    columns: Mapping[str, str] = field(default_factory=dict)
    """Of `TARGETS`, to the name of a column."""
    annotator: str = UNNAMED


def columns_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the columns of some rows, those inside objects too, each with a value as shown."""
    found: dict[str, str] = {}
    for row in rows:
        for name, value in _flat(row, ""):
            if not found.get(name) and not _NOT_KEPT.search(name):
                found[name] = value if isinstance(value, str) else quoted(value)
    return {
        name: _NOT_KEPT.sub("\N{REPLACEMENT CHARACTER}", value[:200])
        for name, value in found.items()
    }


def _flat(value: Mapping[str, Any], path: str, depth: int = 1) -> Iterator[tuple[str, Any]]:
    for name, one in value.items():
        yield f"{path}{name}", one
        if depth < MOST_DEPTH:
            if isinstance(one, list) and one and isinstance(one[0], dict) and "role" not in one[0]:
                yield from _flat(one[0], f"{path}{name}.0.", depth + 1)
            elif isinstance(one, dict):
                yield from _flat(one, f"{path}{name}.", depth + 1)


TEXTS = ("prompt", "completion", "chosen", "rejected", "left", "right")


def guess_columns(
    shown: Mapping[str, str], targets: Iterable[str] = tuple(TARGETS)
) -> dict[str, str]:
    """Return which column is likely what, by its name. No column is two things.

    A column of numbers is no text: what is called "prompt" is often the number of one.
    """
    plain = {_plain(name): name for name in reversed(list(shown))}
    guessed: dict[str, str] = {}
    for target in targets:
        for known in KNOWN_NAMES[target]:
            name = plain.get(_plain(known))
            if name is None or name in guessed.values():
                continue
            if target not in TEXTS or not shown[name].isdecimal():
                guessed[target] = name
                break
    return guessed


def _plain(name: str) -> str:
    return _WRITTEN_BELOW.sub("_", name.lower())


def value_at(row: Mapping[str, Any], name: str | None) -> Any:
    """Return the value in a column, or None; `a.0.b` leads into objects and lists."""
    if name is None:
        return None
    if name in row:
        return row[name]
    value: Any = row
    for step in name.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def prompt_in(row: Mapping[str, Any], columns: Mapping[str, str]) -> Messages:
    """Return the prompt of a row: a text, or messages whose last is the user's."""
    if "prompt" not in columns:
        raise BadLine("No column is the prompt. Say which one is.")
    prompt = conversation(value_at(row, columns["prompt"]))
    if isinstance(prompt, str):
        context = value_at(row, columns.get("context"))
        if isinstance(context, str) and context.strip():
            prompt = f"{prompt}\n\n{context}"
    return messages_of({"prompt": prompt})


def prompt_and_answer_in(
    row: Mapping[str, Any], columns: Mapping[str, str]
) -> tuple[Messages, list[Candidate]]:
    """Return the prompt of a row, and what answers it, if that is the prompt's last message."""
    turns = conversation(value_at(row, columns.get("prompt")))
    if not is_answered(turns):
        return prompt_in(row, columns), []
    answer = Candidate(completion_in(turns, columns["prompt"]), _name(row, columns.get("model")))
    return messages_of({"prompt": turns[:-1]}), [answer]


def is_answered(turns: Any) -> bool:
    """Return whether the last of several messages is the assistant's."""
    return (
        isinstance(turns, list)
        and len(turns) > 1
        and isinstance(turns[-1], dict)
        and turns[-1].get("role") == "assistant"
    )


def conversation(value: Any) -> Any:
    """Return messages with role and content alone, whatever their keys are called; or the value."""
    if isinstance(value, str) or not isinstance(value, list):
        return value
    return [_message(turn) for turn in value]


_ROLES = {
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "developer": "system",
}


def _message(turn: Any) -> Any:
    if not isinstance(turn, dict):
        return turn
    if turn.get("tool_calls") or turn.get("function_call"):
        raise BadLine("A message calls a tool, and tools are not kept here. Leave this line out.")
    role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        content = "".join(part["text"] for part in content)
    known = _ROLES.get(role, role) if isinstance(role, str) else role
    return {"role": known, "content": content}


def completion_in(value: Any, name: str) -> str:
    """Return a completion: a text, or messages that end in one by the assistant."""
    turns = conversation(value)
    if isinstance(turns, list) and turns and isinstance(turns[-1], dict):
        if turns[-1].get("role") != "assistant":
            raise BadLine(f"The last message of {quoted(name)} has to be the assistant's.")
        value = turns[-1].get("content")
    if isinstance(value, dict):
        texts = [value[key] for key in ("text", "content", "body", "html") if key in value]
        # A model may have written nothing.
        value = next(filter(None, texts), "" if "" in texts else value)
    if not isinstance(value, str):
        raise BadLine(f"{quoted(name)} has to be a text, not {quoted(value)}.")
    return check_text(value, field=_column(name), max_chars=MAX_COMPLETION_CHARS)


_column = lru_cache(maxsize=64)(quoted)
"""A column's name, which is the same in every row."""


def candidates_in(row: Mapping[str, Any], columns: Mapping[str, str]) -> list[Candidate]:
    """Return the completions of a row: columns, a list of them, or chosen and rejected."""
    listed = value_at(row, columns.get("completions"))
    if "completions" in columns and (listed is not None or "left" not in columns):
        if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_CANDIDATES:
            raise BadLine(
                f"{quoted(columns['completions'])} has to be a list of 1 to {MOST_CANDIDATES} "
                "completions."
            )
        return [
            Candidate(completion_in(one, columns["completions"]), _model_of(one)) for one in listed
        ]
    for pair in (("chosen", "rejected"), ("left", "right")):
        if all(side in columns for side in pair):
            names = [columns[side] for side in pair]
            if pair == ("left", "right"):
                names = one_each(row, columns, *pair)
            models = one_each(row, columns, "left_model", "right_model")
            return [
                Candidate(completion_in(value_at(row, name), name), _name(row, model))
                for name, model in zip_longest(names, models[: len(names)], fillvalue="")
            ]
    return []


def one_each(
    row: Mapping[str, Any], columns: Mapping[str, str], left: str, right: str
) -> list[str]:
    """Return the columns of one completion each: the first two, and those numbered on from them.

    Where it is said which of two is better there are two.

    >>> more = {"response 3": "c", "response 4": "d", "response 6": "f"}
    >>> one_each(more, {"left": "response 1", "right": "response 2"}, "left", "right")
    ['response 1', 'response 2', 'response 3', 'response 4']
    """
    names = [columns.get(left, ""), columns.get(right, "")]
    first, second = (_NUMBERED.fullmatch(name) for name in names)
    if not first or not second or first[1] != second[1] or {"winner", "votes"} & columns.keys():
        return names
    number = max(int(first[2]), int(second[2])) + 1
    while value_at(row, name := f"{first[1]}{number}") not in (None, ""):
        names.append(name)
        number += 1
    if len(names) > MOST_CANDIDATES:
        raise BadLine(f"There are {len(names)} completions, and at most {MOST_CANDIDATES} fit.")
    return names


def _model_of(value: Any) -> str:
    return name_of(value, "model", "model_name") if isinstance(value, dict) else ""


def _name(row: Mapping[str, Any], column: str | None) -> str:
    return name_of({"model": value_at(row, column)}, "model") if column else ""


def text_in(row: Mapping[str, Any], columns: Mapping[str, str], target: str) -> str:
    """Return a short text or number of a row as text, or nothing."""
    column = columns.get(target)
    return name_of({column: value_at(row, column)}, column) if column else ""


def tags_in(row: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[str, ...]:
    """Return the tags of a row: a list, or a text with semicolons."""
    value = value_at(row, columns.get("tags"))
    if isinstance(value, str):
        value = [tag.strip() for tag in value.split(";") if tag.strip()]
    return tags_of(value)


def reason_in(value: Any) -> str:
    """Return why somebody said what they said."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadLine(f"The reason has to be a text, not {quoted(value)}.")
    return check_text(value, field="The reason", max_chars=MAX_REASON_CHARS)


def outcome_of(value: Any, models: Sequence[str] = ()) -> str | None:
    """Return which of two is better, however a file says it; None if it says something else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    if isinstance(value, str) and value and len(set(models)) == 2 and value in models:
        return ("left", "right")[list(models).index(value)]
    return _WINNER_OF.get(str(value).strip().lower())


def expect_outcome(value: Any, models: Sequence[str] = ()) -> str:
    """Return which of two is better, or say what may stand there."""
    outcome = outcome_of(value, models)
    if outcome is None:
        raise BadLine(
            f"{quoted(value)} does not say which is better. Write left, right, tie or both_bad."
        )
    return outcome


def expect_good(value: Any) -> int:
    """Return 1 if something is said to be good, and 0 if it is said not to be."""
    good = _GOOD.get(str(value).strip().lower())
    if good is None:
        raise BadLine(f"{quoted(value)} does not say whether it is good. Write true or false.")
    return good
