"""Characters that nobody sees, by which two texts can look the same, or one like another."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_TURNING = "\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c"
"""They turn the direction of what follows."""
_NOTHING = "\u00ad\u180e\u200b\u2060-\u2064\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
"""They show nothing."""
_JOINING = "\u200c\u200d"
"""They join or part letters of many scripts and make emoji; between ASCII they only hide."""
_HIDDEN = re.compile(f"[{_TURNING}{_NOTHING}]|(?<=[ -~])[{_JOINING}]|[{_JOINING}](?=[ -~])")


def hidden_characters(text: str) -> list[str]:
    """Return which hidden characters a text has, in words and with their number.

    >>> hidden_characters("a\u200bb\u200bc\u202e")
    ['2 × zero width space', 'right-to-left override']
    >>> hidden_characters("an \U0001f469\u200d\U0001f680 and a frog")
    []
    """
    counts = Counter(_HIDDEN.findall(text))
    return [
        f"{count} × {_name(character)}" if count > 1 else _name(character)
        for character, count in counts.items()
    ]


def _name(character: str) -> str:
    return unicodedata.name(character, f"U+{ord(character):04X}").lower()
