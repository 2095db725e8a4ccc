"""The parts of an answer that another answer can be put together from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

LONGEST_VERSE = 80
"""Characters of the longest line that is still taken for a line of verse."""

MOST_PARTS = 100
"""Parts of one text; those of a longer one are taken together, so that each has several."""

SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s)|[。！？]+[”’」』)]*")
"""Begins where the marks begin and gives none back: each of 20,000 dots is looked at once."""

ABBREVIATION = re.compile(r"\b(?:[A-HJ-Z]|(?i:mr|mrs|ms|dr|prof|st|vs|approx|e\.g|i\.e))\.$")


@dataclass(frozen=True)
class Part:
    """Characters `start` to `end` of a text, and what follows them when parts are joined."""

    start: int
    end: int
    text: str
    separator: str = "\n"


def parts_of(text: str) -> list[Part]:
    r"""Return the parts of a text, in order and without overlap: lines of verse, else sentences.

    Verse is a text of several lines, none of them long. A blank text has no parts; white space
    between parts belongs to none.

    >>> [part.text for part in parts_of("old pond\na frog leaps in\n\nwater's sound")]
    ['old pond', 'a frog leaps in', "water's sound"]
    >>> [part.text for part in parts_of("It rains. Dr. No stays in!")]
    ['It rains.', 'Dr. No stays in!']
    >>> parts_of(" ")
    []
    """
    spans = list(_lines(text))
    is_verse = len(spans) > 1 and all(end - start <= LONGEST_VERSE for start, end in spans)
    if not is_verse:
        spans = [span for line in spans for span in _sentences(text, *line)]
    return [
        Part(start, end, text[start:end], "\n" if is_verse else " ")
        for start, end in _taken_together(spans)
    ]


def joined(parts: Sequence[Part]) -> str:
    r"""Return the text that parts give in their order: lines below each other, sentences in a row.

    >>> joined(parts_of("It rains. It pours."))
    'It rains. It pours.'
    >>> joined(parts_of("old pond\na frog"))
    'old pond\na frog'
    """
    return "".join(
        part.text + (part.separator if number < len(parts) else "")
        for number, part in enumerate(parts, start=1)
    )


def overlap(spans: Sequence[tuple[int, int, int]]) -> bool:
    """Return whether two (source, start, end) spans share a character.

    >>> overlap([(1, 0, 5), (1, 5, 9), (2, 0, 5)]), overlap([(1, 0, 5), (1, 4, 9)])
    (False, True)
    """
    ordered = sorted(spans)
    return any(
        source == other and end > start for (source, _, end), (other, start, _) in pairwise(ordered)
    )


def _taken_together(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the spans, or so many at a time that there are no more than MOST_PARTS."""
    size = -(-len(spans) // MOST_PARTS) or 1
    for first in range(0, len(spans), size):
        group = spans[first : first + size]
        yield group[0][0], group[-1][1]


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each line that is not blank begins and ends, without the space around it."""
    start = 0
    for line in text.split("\n"):
        if span := _stripped(text, start, start + len(line)):
            yield span
        start += len(line) + 1


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for found in SENTENCE_END.finditer(text, start, end):
        if found[0] == "." and ABBREVIATION.search(text, max(start, found.end() - 12), found.end()):
            continue
        if span := _stripped(text, start, found.end()):
            yield span
        start = found.end()
    if span := _stripped(text, start, end):
        yield span


def _stripped(text: str, start: int, end: int) -> tuple[int, int] | None:
    inner = text[start:end]
    left = start + len(inner) - len(inner.lstrip())
    right = left + len(inner.strip())
    return (left, right) if left < right else None
