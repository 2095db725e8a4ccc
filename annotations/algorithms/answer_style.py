"""What of an answer's looks may sway a vote, measured so that a leaderboard can take it out."""

from __future__ import annotations

import re
from math import log1p

STYLES = ("length", "lists")
"""The names of what `style_of` measures, in its order."""

LIST_ITEM = re.compile(r"^[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S", re.MULTILINE)


def style_of(text: str) -> tuple[float, float]:
    r"""Return the natural logarithm of 1 + the text's characters, and how many list items it has.

    The logarithm, because twice as long is as much from 100 characters as from 1,000. A blank text
    has no length: white space around a text is not counted.

    >>> style_of("") == (0.0, 0.0)
    True
    >>> style_of("Frogs:\n- leap\n- sing\n 3. sleep")[1]
    3.0
    """
    return log1p(len(text.strip())), float(len(LIST_ITEM.findall(text)))


def style_difference(left: str, right: str) -> tuple[float, float]:
    """Return the style of the left text minus that of the right one.

    >>> style_difference("a frog", "a frog")
    (0.0, 0.0)
    """
    of_left, of_right = style_of(left), style_of(right)
    return of_left[0] - of_right[0], of_left[1] - of_right[1]
