"""What a prompt is, said by its messages alone: its hash, its split, its text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

TRAIN_PERCENT = 70
VALIDATION_PERCENT = 10

_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def content_hash(messages: Sequence[Mapping[str, str]]) -> str:
    """Return the SHA-256 of the canonical JSON of the messages.

    >>> content_hash([{"role": "user", "content": "a"}])[:8]
    '5168bd63'
    """
    turns = [{"content": turn["content"], "role": turn["role"]} for turn in messages]
    return hashlib.sha256(_canonical(turns).encode("utf-8")).hexdigest()


def split_for(content_hash: str) -> str:
    """Return the split that a prompt belongs to, in every snapshot, for ever.

    >>> split_for("00000063" + "0" * 56), split_for("00000000" + "0" * 56)
    ('test', 'train')
    """
    percent = int(content_hash[:8], 16) % 100
    if percent < TRAIN_PERCENT:
        return "train"
    if percent < TRAIN_PERCENT + VALIDATION_PERCENT:
        return "validation"
    return "test"


def last_user_text(messages: Sequence[Mapping[str, str]]) -> str:
    """Return the last thing the user said: what pages show and searches find."""
    return next((turn["content"] for turn in reversed(messages) if turn["role"] == "user"), "")
