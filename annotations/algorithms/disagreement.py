"""How much the votes on one question leave open, and so how much a decision about it is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from math import log2


def open_bits(labels: Iterable[Hashable]) -> float:
    """Return the number of votes times the entropy of their shares, in bits.

    It is the least that any model must lose on these votes, in bits of log loss, however well it
    is trained: votes that agree leave nothing, and four votes that are split evenly leave twice as
    much as two. A label is what somebody said; a tie is a label like others.

    >>> open_bits(["first", "second", "first", "second"]), open_bits(["tie", "tie"]), open_bits([])
    (4.0, 0.0, 0.0)
    """
    counts = Counter(labels)
    total = sum(counts.values())
    return sum((count * log2(total / count) for count in counts.values()), 0.0)
