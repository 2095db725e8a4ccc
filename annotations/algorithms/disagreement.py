"""How much the votes on one question leave open, and so how much a decision about it is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from math import log2

FAR = 1 / 3
"""Of the length of a scale: points that far apart are no matter of taste."""


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


def scale_bits(values: Sequence[int], points: int) -> float:
    """Return what votes on a scale from 1 to `points` leave open: 0 unless some are far apart.

    Between every two neighbouring points the votes answer whether it is better than the lower one.
    Returned is the mean of what these answers leave open, so that opposite ends count as much as
    the two sides of a comparison do, and half of the scale half as much.

    >>> scale_bits([1, 7], 7), scale_bits([2, 5], 7), scale_bits([4, 5], 7), scale_bits([], 7)
    (2.0, 1.0, 0.0, 0.0)
    """
    cuts = points - 1
    if not values or max(values) - min(values) < FAR * cuts:
        return 0.0
    return sum(open_bits(value > cut for value in values) for cut in range(1, points)) / cuts
