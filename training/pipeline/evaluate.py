"""Measured properties of models, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np


def kl_of_best_of(n: int) -> float:
    """Return how far the best of `n` is from one drawn alone: log n − (n − 1)/n nats.

    Exact where no two candidates score the same, an upper bound otherwise (Stiennon et al. 2020,
    arXiv:2009.01325, G.3; Beirami et al. 2024, arXiv:2401.01879).

    >>> kl_of_best_of(1), round(kl_of_best_of(16), 3)
    (0.0, 1.835)
    """
    return math.log(n) - (n - 1) / n


def accuracy_with_interval(
    right: list[float], cluster: Sequence[Hashable], *, seed: int = 0, draws: int = 2000
) -> tuple[float, float, float]:
    """Return accuracy and its 95 % interval, by bootstrap over clusters (prompts).

    Pairs of one prompt share their completions and are not independent, so whole prompts are
    drawn. Empty input gives (nan, nan, nan).
    """
    if not right:
        return float("nan"), float("nan"), float("nan")
    keys = list(dict.fromkeys(cluster))
    index = {key: i for i, key in enumerate(keys)}
    hits, sizes = np.zeros(len(keys)), np.zeros(len(keys))
    for value, key in zip(right, cluster, strict=True):
        hits[index[key]] += value
        sizes[index[key]] += 1
    drawn = np.random.default_rng(seed).integers(0, len(keys), size=(draws, len(keys)))
    rates = hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(hits.sum() / sizes.sum()), float(low), float(high)
