"""What a writer sees counted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypedDict

from annotations.algorithms.haiku import count_line_syllables

COUNTERS = ("characters", "words", "lines", "syllables")

MOST_LINES = 200
"""Lines whose syllables are counted; nobody reads more numbers than that."""


class Counts(TypedDict, total=False):
    """What was counted in a text: only what was asked for."""

    characters: int
    words: int
    lines: int
    syllables: list[int]
    fits: bool


def counts(text: str, counters: Collection[str], line_syllables: Sequence[int] = ()) -> Counts:
    r"""Return what is counted in a text; `fits` says whether its lines have the syllables wanted.

    Blank lines are no lines. Unknown counters are left out.

    >>> counts("old pond\n\na frog leaps in", ["words", "lines", "syllables"], [2, 4])
    {'words': 6, 'lines': 2, 'syllables': [2, 4], 'fits': True}
    >>> counts("", ["characters", "words"])
    {'characters': 0, 'words': 0}
    """
    lines = [line for line in text.splitlines() if line.strip()]
    found: Counts = {}
    if "characters" in counters:
        found["characters"] = len(text)
    if "words" in counters:
        found["words"] = len(text.split())
    if "lines" in counters:
        found["lines"] = len(lines)
    if "syllables" in counters or line_syllables:
        syllables = [count_line_syllables(line) for line in lines[:MOST_LINES]]
        if "syllables" in counters:
            found["syllables"] = syllables
        if line_syllables:
            found["fits"] = syllables == list(line_syllables) and len(lines) <= MOST_LINES
    return found
