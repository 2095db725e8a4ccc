"""Exact tails of a few distributions, in numpy and the standard library."""

from __future__ import annotations

from math import exp, lgamma, log

import numpy as np

SMALLEST = 1e-300
STEPS = 20
"""Of a bisection: its answer is exact to a millionth."""


def binomial_at_least(k: int, n: int, chance: float) -> float:
    """Return how probable at least `k` of `n` are, each with this chance.

    >>> binomial_at_least(2, 2, 0.5), binomial_at_least(0, 5, 0.1)
    (0.25, 1.0)
    """
    if k <= 0:
        return 1.0
    if k > n or chance <= 0:
        return 0.0
    if chance >= 1:
        return 1.0
    counts = np.arange(k, n + 1)
    # log(i!) for every i that is needed, by one cumulative sum
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    logs = factorials[n] - factorials[counts] - factorials[n - counts]
    logs = logs + counts * log(chance) + (n - counts) * log(1 - chance)
    return min(1.0, float(np.exp(logs).sum()))


def binomial_at_most(k: int, n: int, chance: float) -> float:
    """Return how probable at most `k` of `n` are.

    >>> binomial_at_most(0, 2, 0.5)
    0.25
    """
    return binomial_at_least(n - k, n, 1 - chance)


def share_below(hits: int, n: int, *, level: float = 0.95) -> float:
    """Return what a share surely lies below: the upper end of Clopper and Pearson's interval.

    Were the true share there or above, so few hits would come with 1 − `level` at most. Of nothing
    at all it is 1.

    >>> round(share_below(0, 5), 3), share_below(4, 4), share_below(0, 0)
    (0.451, 1.0, 1.0)
    """
    if hits >= n:
        return 1.0
    low, high = hits / n, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if binomial_at_most(hits, n, middle) > 1 - level:
            low = middle
        else:
            high = middle
    return high


def chi_squared_at_most(value: float, degrees: int) -> float:
    """Return how probable a sum of so many squared standard normals is to be so small.

    >>> round(chi_squared_at_most(3.841459, 1), 6), chi_squared_at_most(0, 5)
    (0.95, 0.0)
    """
    if value <= 0:
        return 0.0
    shape, x = degrees / 2, value / 2
    term = total = 1 / shape
    step = shape
    while term > total * 1e-16:  # the series of the incomplete gamma function
        step += 1
        term *= x / step
        total += term
    return min(1.0, exp(log(total) + shape * log(x) - x - lgamma(shape)))


def fisher(first: float, second: float) -> float:
    """Return the p-value of two independent p-values together, by Fisher's method.

    With two, the chi-squared tail on four degrees of freedom has a closed form.

    >>> fisher(1.0, 1.0), round(fisher(0.05, 0.05), 4)
    (1.0, 0.0175)
    """
    product = max(first * second, SMALLEST)
    return min(1.0, product * (1 - log(product)))
