"""What of an answer's looks may sway a vote, measured so that a leaderboard can take it out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from math import log1p

import numpy as np
from numpy.typing import NDArray

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


def styles_of(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return `style_of` each of many texts, (N, 2).

    No list item crosses the end of a line, so those of all texts are found in one long text.

    >>> styles_of(["1. leap", "a frog"])[:, 1]
    array([1., 0.])
    """
    lengths = np.log1p(np.fromiter((len(text.strip()) for text in texts), float, len(texts)))
    starts = [0, *accumulate(len(text) + 1 for text in texts)]
    found = [item.start() for item in LIST_ITEM.finditer("\n".join(texts))]
    of_item = np.searchsorted(starts, found, side="right") - 1
    return np.column_stack([lengths, np.bincount(of_item, minlength=len(texts))])
