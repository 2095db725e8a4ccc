"""Two texts that were made from a third, brought together line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MINE, BETWEEN, THEIRS = "<<<<<<< yours\n", "=======\n", ">>>>>>> theirs\n"
"""The lines around two versions of one place, of which a person has to choose."""


@dataclass(frozen=True)
class Merge:
    """A text that has the changes of both sides, and how many places a person must decide."""

    text: str
    conflicts: int


def merge(base: str, mine: str, theirs: str) -> Merge:
    """Return a text with all changes that either side made to `base`.

    What one side alone changed is taken from there. Where both changed the same lines in different
    ways, both stand in the text, marked. Texts without a line in common are one such place.

    >>> merge("a\\nb\\nc\\n", "A\\nb\\nc\\n", "a\\nb\\nC\\n")
    Merge(text='A\\nb\\nC\\n', conflicts=0)
    >>> merge("a\\n", "b\\n", "c\\n").conflicts
    1
    """
    lines = [_lines(text) for text in (base, mine, theirs)]
    merged: list[str] = []
    conflicts = 0
    at = [0, 0, 0]
    for *starts, length in _common(*lines):
        old, my, their = (
            side[begin:end] for side, begin, end in zip(lines, at, starts, strict=True)
        )
        if my == their or their == old:
            merged += my
        elif my == old:
            merged += their
        else:
            conflicts += 1
            merged += [MINE, *my, BETWEEN, *their, THEIRS]
        merged += lines[0][starts[0] : starts[0] + length]
        at = [start + length for start in starts]
    return Merge("".join(merged), conflicts)


def has_conflicts(text: str) -> bool:
    """Say whether a text still has places that a person must decide.

    >>> has_conflicts("a\\n"), has_conflicts(merge("a\\n", "b\\n", "c\\n").text)
    (False, True)
    """
    return not {MINE.strip(), THEIRS.strip()}.isdisjoint(map(str.strip, text.splitlines()))


def _lines(text: str) -> list[str]:
    """Return the lines, each with its end: the last one is like the others."""
    return [line + "\n" for line in text.removesuffix("\n").split("\n")] if text else []


def _common(
    base: Sequence[str], mine: Sequence[str], theirs: Sequence[str]
) -> Iterator[tuple[int, int, int, int]]:
    """Yield where runs of lines begin that all three have, and their length; the end at last."""
    first, second = _blocks(base, mine), _blocks(base, theirs)
    while first and second:
        start = max(first[0][0], second[0][0])
        end = min(sum(first[0][::2]), sum(second[0][::2]))
        if start < end:
            in_mine = first[0][1] + start - first[0][0]
            in_theirs = second[0][1] + start - second[0][0]
            yield start, in_mine, in_theirs, end - start
        behind = first if sum(first[0][::2]) < sum(second[0][::2]) else second
        behind.pop(0)
    yield len(base), len(mine), len(theirs), 0


def _blocks(base: Sequence[str], other: Sequence[str]) -> list[tuple[int, int, int]]:
    matcher = SequenceMatcher(None, base, other, autojunk=False)
    return [(a, b, size) for a, b, size in matcher.get_matching_blocks() if size]
