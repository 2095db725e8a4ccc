"""What changed between two texts, word by word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Literal

Op = Literal["same", "old", "new"]

TOKEN = re.compile(r"\w+(?:['’]\w+)*|\s|[^\w\s]")

MOST_WORK = 3_000_000
"""Pairs of equal words up to which two texts are compared: about a second. English text of
64 KiB stays far below; only texts that say the same few words thousands of times reach it."""


@dataclass(frozen=True)
class Segment:
    """A stretch of text that is in both texts, or in the old or the new one alone."""

    op: Op
    text: str


def word_diff(old: str, new: str) -> list[Segment]:
    """Return the segments of two texts: joining same and old gives old, same and new gives new.

    What was replaced comes before what replaced it. Texts too repetitive to be compared word by
    word have one changed stretch, between the beginning and the end that they share.

    >>> [(s.op, s.text) for s in word_diff("an old pond", "an old frog")]
    [('same', 'an old '), ('old', 'pond'), ('new', 'frog')]
    >>> word_diff("", "")
    []
    """
    before, after = TOKEN.findall(old), TOKEN.findall(new)
    head = _shared(before, after)
    tail = _shared(before[head:][::-1], after[head:][::-1])
    middle_before = before[head : len(before) - tail]
    middle_after = after[head : len(after) - tail]
    segments = [
        ("same", before[:head]),
        *_compare(middle_before, middle_after),
        ("same", before[len(before) - tail :]),
    ]
    return _merged(segments)


def changed_lines(segments: Sequence[Segment], *, around: int = 1) -> list[list[Segment]]:
    """Return the lines that changed, with so many around them; [] stands for what is left out.

    A line is changed if any of its words is. Texts that are the same have no lines to show.

    >>> lines = changed_lines(word_diff("a\\nb\\nc\\nd", "a\\nb\\nc\\ne"))
    >>> [[(s.op, s.text) for s in line] for line in lines]
    [[], [('same', 'c')], [('old', 'd'), ('new', 'e')]]
    """
    lines: list[list[Segment]] = [[]]
    for segment in segments:
        first, *others = segment.text.split("\n")
        lines[-1].append(Segment(segment.op, first))
        lines.extend([Segment(segment.op, text)] for text in others)
    lines = [[segment for segment in line if segment.text] for line in lines]
    changed = [n for n, line in enumerate(lines) if any(s.op != "same" for s in line)]
    shown = {n for at in changed for n in range(at - around, at + around + 1)}
    kept: list[list[Segment]] = []
    for number, line in enumerate(lines):
        if number in shown and line:
            kept.append(line)
        elif line and shown and (not kept or kept[-1]):
            kept.append([])
    return kept


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many tokens two lists begin with in common."""
    pairs = zip(first, second, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _compare(before: list[str], after: list[str]) -> list[tuple[Op, list[str]]]:
    if _work(before, after) > MOST_WORK:
        return [("old", before), ("new", after)]
    # White space never starts a match: words do, and take the space around them along.
    matcher = SequenceMatcher(str.isspace, before, after, autojunk=False)
    found: list[tuple[Op, list[str]]] = []
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            found.append(("same", before[start:end]))
        else:
            found.append(("old", before[start:end]))
            found.append(("new", after[new_start:new_end]))
    return found


def _work(before: list[str], after: list[str]) -> int:
    known = Counter(token for token in after if not token.isspace())
    return sum(known[token] for token in before)


def _merged(segments: Sequence[tuple[Op, list[str]]]) -> list[Segment]:
    """Return the segments with their tokens joined, without empty ones and doubled ones."""
    merged: list[Segment] = []
    for op, tokens in segments:
        text = "".join(tokens)
        if merged and merged[-1].op == op:
            merged[-1] = Segment(op, merged[-1].text + text)
        elif text:
            merged.append(Segment(op, text))
    return merged
