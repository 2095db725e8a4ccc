"""The data formats of TRL: what its trainers take without another line of code.

Beside TRL's own columns every row says where it came from; trainers leave those columns alone.
Where there is no such number it is 0: of a column that begins with null for ten megabytes of JSONL
`datasets` makes one of nulls, and stops at the first number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from annotations.exports.judgements import judgements, preferences
from annotations.exports.prompts import prompts
from annotations.exports.texts import demonstrations

SOURCE = ("split", "prompt_id", "annotation_id", "annotator", "guideline_version")
Row = dict[str, Any]


def sft_messages(project_id: int) -> Iterator[Row]:
    """Yield conversations whose last message is an ideal answer (TRL: language modelling)."""
    for row in demonstrations(project_id):
        yield {"messages": [*row["prompt"], *row["completion"]], **_source(row), **_origin(row)}


def sft_prompt_completion(project_id: int) -> Iterator[Row]:
    """Yield prompts with their ideal answers (TRL: prompt-completion)."""
    for row in demonstrations(project_id):
        yield {
            "prompt": row["prompt"],
            "completion": row["completion"],
            **_source(row),
            **_origin(row),
        }


def preference_pairs(project_id: int) -> Iterator[Row]:
    """Yield preference pairs with their margins (TRL: preference, explicit prompt)."""
    for row in preferences(project_id):
        yield {
            "prompt": row["prompt"],
            "chosen": row["chosen"],
            "rejected": row["rejected"],
            "margin": row["margin"],
            "strength": row["strength"],
            **_source(row),
        }


def unpaired(project_id: int) -> Iterator[Row]:
    """Yield completions that were found good or bad (TRL: unpaired preference)."""
    for row in judgements(project_id):
        yield {
            "prompt": row["prompt"],
            "completion": row["completion"],
            "label": row["label"],
            **_source(row),
        }


def prompt_only(project_id: int) -> Iterator[Row]:
    """Yield prompts (TRL: prompt-only)."""
    for row in prompts(project_id):
        yield {"prompt": row["prompt"], "split": row["split"], "prompt_id": row["prompt_id"]}


def _source(row: Any) -> Row:
    return {name: row[name] or 0 for name in SOURCE}


def _origin(row: Any) -> Row:
    return {"kind": row["kind"], "fixes": row["fixes"] or 0}
