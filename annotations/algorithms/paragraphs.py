"""Two versions of a text beside each other, paragraph by paragraph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from annotations.algorithms.diff import Segment, word_diff

LEAST_ALIKE = 0.3
"""Paragraphs that share fewer of their words are another text, not a changed one."""
MOST_PAIRS = 40_000
"""Paragraphs against paragraphs up to which those that belong together are looked for."""


@dataclass(frozen=True)
class Row:
    """A paragraph as it was and as it is; one side is empty where it came or went."""

    op: Literal["same", "changed", "old", "new"]
    before: list[Segment]
    after: list[Segment]


def side_by_side(old: str, new: str) -> list[Row]:
    """Return the paragraphs of both texts in order, those that belong together in one row.

    Joining one side of all rows gives the paragraphs of that text. Empty texts have none.

    >>> [(row.op, len(row.before), len(row.after)) for row in side_by_side("a\\n\\nb", "a\\n\\nc")]
    [('same', 1, 1), ('old', 1, 0), ('new', 0, 1)]
    """
    before, after = paragraphs(old), paragraphs(new)
    rows: list[Row] = []
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            rows += [
                Row("same", _whole("same", one), _whole("same", one)) for one in before[start:end]
            ]
        else:
            rows += _changed(before[start:end], after[new_start:new_end])
    return rows


def paragraphs(text: str) -> list[str]:
    """Return what stands between empty lines.

    >>> paragraphs("a\\nb\\n\\n\\nc\\n")
    ['a\\nb', 'c']
    """
    return [part.strip("\n") for part in re.split(r"\n[ \t]*\n", text) if part.strip()]


def _changed(before: Sequence[str], after: Sequence[str]) -> list[Row]:
    """Return the rows of a stretch in which no paragraph is the same."""
    rows: list[Row] = []
    at_old = at_new = 0
    for old, new in [*_partners(before, after), (len(before), len(after))]:
        rows += [Row("old", _whole("old", one), []) for one in before[at_old:old]]
        rows += [Row("new", [], _whole("new", one)) for one in after[at_new:new]]
        if old < len(before):
            segments = word_diff(before[old], after[new])
            rows.append(
                Row(
                    "changed",
                    [one for one in segments if one.op != "new"],
                    [one for one in segments if one.op != "old"],
                )
            )
        at_old, at_new = old + 1, new + 1
    return rows


def _partners(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]]:
    """Return which paragraphs are versions of each other, in order and as alike as can be."""
    if len(before) * len(after) > MOST_PAIRS:
        return []
    old, new = [_words(one) for one in before], [_words(one) for one in after]
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            alike = _alike(old[i], new[j])
            with_pair = alike + best[i + 1][j + 1] if alike >= LEAST_ALIKE else 0.0
            best[i][j] = max(best[i + 1][j], best[i][j + 1], with_pair)
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(old) and j < len(new):
        if best[i][j] == best[i + 1][j]:
            i += 1
        elif best[i][j] == best[i][j + 1]:
            j += 1
        else:
            pairs.append((i, j))
            i, j = i + 1, j + 1
    return pairs


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _alike(first: set[str], second: set[str]) -> float:
    return len(first & second) / max(1, len(first | second))


def _whole(op: Literal["same", "old", "new"], text: str) -> list[Segment]:
    return [Segment(op, text)]
