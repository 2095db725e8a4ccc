"""OpenAI's files for fine-tuning: `messages` whose last is the answer, and its preference pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from annotations.importers import table
from annotations.importers.reading import Reading
from annotations.importers.records import Record

COMPLETIONS = {"prompt": "messages", "annotator": "annotator"}
"""The second is in this platform's own export."""
PREFERENCES = {
    "prompt": "input.messages",
    "chosen": "preferred_output",
    "rejected": "non_preferred_output",
}


def is_of(row: Mapping[str, Any]) -> bool:
    """Return whether a row looks like one of these files."""
    if isinstance(row.get("input"), dict) and "preferred_output" in row:
        return True
    messages = row.get("messages")
    return (
        isinstance(messages, list)
        and bool(messages)
        and isinstance(messages[-1], dict)
        and messages[-1].get("role") == "assistant"
        and not {"prompt", "completion", "chosen"} & row.keys()
    )


def records(row: Mapping[str, Any], reading: Reading) -> Iterator[Record]:
    """Yield the conversation of a row with its last message as an ideal answer, or its pair."""
    columns = PREFERENCES if "preferred_output" in row else COMPLETIONS
    return table.records(row, Reading(reading.format, columns, reading.annotator))
