"""Which question an item asks, whatever item asks it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from annotations.algorithms.text import same_words

_canonical = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def fingerprint_of(
    kind: str, messages: Sequence[Mapping[str, object]], texts: Iterable[str] = ()
) -> str:
    """Return a hash that is equal for items that ask a person the same question.

    A question is a kind of work, a prompt and the texts that are shown, in any order. Texts that
    differ in whitespace alone are read as one text twice, so they are the same question too.

    >>> frog = [{"role": "user", "content": "A frog."}]
    >>> fingerprint_of("comparison", frog, ["a", "b"]) == fingerprint_of("comparison", frog, "ba")
    True
    >>> fingerprint_of("rating", frog, ["a", "b"]) == fingerprint_of("comparison", frog, "ba")
    False
    """
    question = [
        kind,
        [[turn["role"], turn["content"]] for turn in messages],
        sorted(same_words(text) for text in texts),
    ]
    return hashlib.sha256(_canonical(question).encode("ascii")).hexdigest()
