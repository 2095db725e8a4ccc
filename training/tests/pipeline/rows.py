"""Snapshot rows as the exports write them, for stages to train on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SUBJECTS = [f"thing number {i}" for i in range(40)]


def split_of(index: int) -> str:
    return "train" if index < 30 else "validation" if index < 35 else "test"


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def assistant(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def base_row(index: int) -> dict[str, Any]:
    return {
        "split": split_of(index),
        "prompt_id": index,
        "prompt": user(f"Write a haiku about {SUBJECTS[index]}."),
    }


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def demonstration_rows() -> list[dict[str, Any]]:
    return [
        {**base_row(i), "completion": assistant(f"the old pond\nthe {subject}\nrain")}
        for i, subject in enumerate(SUBJECTS)
    ]


def preference_rows() -> list[dict[str, Any]]:
    """Two pairs a prompt; what was chosen always has the word "pond"."""
    return [
        {
            **base_row(i),
            "chosen": assistant(f"the old pond rain {k}"),
            "rejected": assistant(f"xx qq {k}"),
            "margin": 1 / 3,
            "strength": "slightly",
        }
        for i in range(len(SUBJECTS))
        for k in range(2)
    ]


def judged_rows() -> list[dict[str, Any]]:
    """A good completion and two bad ones a prompt; only the good one has the word "pond"."""
    return [
        {**base_row(i), "completion": assistant(text), "label": "pond" in text}
        for i in range(len(SUBJECTS))
        for text in ("the old pond rain", "xx qq", "qq xx")
    ]


def prompt_rows() -> list[dict[str, Any]]:
    return [base_row(i) for i in range(len(SUBJECTS))]
