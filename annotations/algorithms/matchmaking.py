"""Which two models fight next: those about whom one more battle says most.

A pair is drawn with a weight of two parts. The first is how much narrower one more battle makes the
interval of the pair's own win rate, whose width goes with 1 / sqrt(n): from n to n + 1 battles it
loses 1 / sqrt(n + 1) - 1 / sqrt(n + 2), with one battle's worth of prior. So Chatbot Arena chooses
its pairs, too (Chiang et al. 2024, arXiv:2403.04132, section 5). The second is how far the two
ratings' intervals overlap: where one model is surely better, its next win is no news.

No weight is 0: every pair goes on being drawn, now and then, so that no rating rests for ever on a
few early votes. Which of the two is shown first is drawn as well.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from itertools import combinations
from math import sqrt
from typing import TypeVar

from annotations.algorithms.battles import Battles
from annotations.algorithms.bradley_terry import fit

M = TypeVar("M", bound=Hashable)

LEAST_OVERLAP = 0.1
"""What a pair keeps of its weight whose intervals lie apart."""


def draw_pair(models: Sequence[M], battles: Battles[M], rng: random.Random) -> tuple[M, M]:
    """Return two of the models: who is shown first, and who second.

    Battles of models that do not fight any more are welcome: they place the others. Raises
    ValueError for fewer than two models.

    >>> draw_pair(["a", "b"], Battles.of([]), random.Random(1)) in [("a", "b"), ("b", "a")]
    True
    """
    weights = pair_weights(models, battles)
    first, second = rng.choices(list(weights), list(weights.values()))[0]
    return (first, second) if rng.random() < 0.5 else (second, first)


def pair_weights(models: Sequence[M], battles: Battles[M]) -> dict[tuple[M, M], float]:
    """Return the weight of every pair of models, 1 for two of whom nothing is known.

    >>> pair_weights(["a", "b"], Battles.of([]))
    {('a', 'b'): 1.0}
    """
    if len(set(models)) < 2:
        raise ValueError("It takes two to fight. Let at least two models into the arena.")
    intervals = {line.model: (line.low, line.high) for line in fit(battles).standings()}
    fought = _fought(battles)

    def weight(a: M, b: M) -> float:
        of_new = gain(fought.get(frozenset((a, b)), 0))
        known = a in intervals and b in intervals
        return of_new * overlap(intervals[a], intervals[b]) if known else of_new

    return {(a, b): weight(a, b) for a, b in combinations(dict.fromkeys(models), 2)}


def gain(battles: float) -> float:
    """Return how much one more battle narrows a pair's interval; the first one does so by 1.

    >>> gain(0), round(gain(10), 3)
    (1.0, 0.044)
    """
    of_first = 1 - 1 / sqrt(2)
    return (1 / sqrt(battles + 1) - 1 / sqrt(battles + 2)) / of_first


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return which share of the shorter interval lies in the longer one, but a least share.

    >>> overlap((0, 4), (3, 5)), overlap((0, 1), (2, 3))
    (0.5, 0.1)
    """
    common = min(one[1], other[1]) - max(one[0], other[0])
    shorter = min(one[1] - one[0], other[1] - other[0])
    if shorter <= 0:
        return 1.0 if common >= 0 else LEAST_OVERLAP
    return max(LEAST_OVERLAP, min(1.0, common / shorter))


def _fought(battles: Battles[M]) -> dict[frozenset[M], float]:
    matrix = battles.win_matrix()
    met = matrix + matrix.T
    return {
        frozenset((battles.models[i], battles.models[j])): float(met[i, j])
        for i, j in combinations(range(len(battles.models)), 2)
    }
