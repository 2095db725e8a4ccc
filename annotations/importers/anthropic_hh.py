"""Anthropic HH: two dialogues as texts, `chosen` and `rejected`, that differ in the last reply."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from annotations.importers.parsing import messages_of, quoted
from annotations.importers.reading import Reading, completion_in
from annotations.importers.records import Candidate, Chosen, Record
from annotations.importers.rows import BadLine

_TURN = re.compile(r"(?:\A|\n\n)(Human|Assistant): ?")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def is_of(row: Mapping[str, Any]) -> bool:
    """Return whether a row holds two such dialogues."""
    sides = (row.get("chosen"), row.get("rejected"))
    return all(isinstance(side, str) and side.lstrip().startswith("Human:") for side in sides)


def records(row: Mapping[str, Any], reading: Reading) -> Iterator[Record]:
    """Yield the dialogue up to the last reply, and which of the two replies was chosen."""
    chosen, rejected = (_turns(row.get(side), side) for side in ("chosen", "rejected"))
    if chosen[:-1] != rejected[:-1]:
        raise BadLine(
            "The two dialogues differ before the last reply, so they answer different prompts. "
            "Leave this line out."
        )
    texts = [completion_in(turns[-1]["content"], "reply") for turns in (chosen, rejected)]
    if texts[0] == texts[1]:
        raise BadLine("The two replies are the same, so nothing was chosen. Leave this line out.")
    yield Record(
        messages=messages_of({"prompt": chosen[:-1]}),
        candidates=tuple(map(Candidate, texts)),
        said=(Chosen(annotator=reading.annotator, left=0, right=1, outcome="left"),),
    )


def _turns(text: Any, side: str) -> list[dict[str, str]]:
    """Return the messages of a dialogue. Turns by the same speaker in a row are one message."""
    if not isinstance(text, str):
        raise BadLine(f"{quoted(side)} has to be a text.")
    parts = _TURN.split(text.lstrip("\n"))
    if parts[0].strip():
        raise BadLine(f"{quoted(side)} begins with {quoted(parts[0])}, which nobody says.")
    turns: list[dict[str, str]] = []
    for speaker, said in zip(parts[1::2], parts[2::2], strict=True):
        role = _ROLES[speaker]
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n\n{said}"
        else:
            turns.append({"role": role, "content": said})
    if len(turns) < 2 or turns[-1]["role"] != "assistant":
        raise BadLine(f"{quoted(side)} has to be a dialogue that ends with the assistant's reply.")
    return turns
