"""Finding a person in what others wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable


def mention(names: Iterable[str]) -> re.Pattern[str]:
    """Return what finds any of the names as a word of its own, in capitals or not.

    >>> bob = mention(["bob", "bob@example.org", ""])
    >>> [bool(bob.search(text)) for text in ("Bob's work", "bobsled", "to BOB@example.org.")]
    [True, False, True]
    >>> mention([]).search("") is None
    True
    """
    known = sorted({name.strip() for name in names if name.strip()}, key=len, reverse=True)
    if not known:
        return re.compile(r"(?!)")
    alternatives = "|".join(re.escape(name) for name in known)
    return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE)
