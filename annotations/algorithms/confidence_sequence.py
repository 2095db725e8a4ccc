"""A confidence sequence for a win rate: intervals that hold together, however often one looks.

An observation lies in [0, 1]: a win 1, a tie one half, a loss 0, or the mean of one prompt's votes.
That a true rate m lies outside the interval at any look, of all there will ever be, has a
probability of 5 % at most, so that one may look after every vote and stop at the first good one.

The interval holds every m that a gambler could not make 20 out of 1 against. If m is true, each
bet q turns one unit into x q/m + (1 - x)(1 - q)/(1 - m) by an observation x, which is fair: one
unit on average, whatever came before. The capital spread over many bets is fair too, and fair
capital ever reaches 20 with a probability of 1/20 at most (Ville 1939). This is betting as in
Waudby-Smith and Ramdas (2024, arXiv:2010.09686), with Cover's universal portfolio as the bets
(Orabona and Jun 2023, arXiv:2110.14099). What follows from the form:

- The capital depends on how often each value was seen and not on the order, so that the interval
  can be computed anew from what is in force; its state is a count of values.
- In m it is a sum of products of log-convex factors, thus log-convex, and at the observed mean it
  is 1 at most (by the inequality of the means): what it leaves is one interval around that mean.
- Against m = 1/2 a tie is worth a factor of exactly 1: ties neither help nor hurt a promotion.

The bets are spread as Beta(2, 2), where the rates between checkpoints lie; docs/decisions says how
this compares. They are the nodes of a Gauss quadrature. The guarantee needs no more of them; for
up to 250 single votes their sum is the integral itself.

What has to hold: given what was seen before, the next observation has the rate as its mean. Votes
on one prompt share its inclination and are one observation together, once all of them are in
(`prompt_means`). The order in which prompts are finished must not depend on who wins them, so
outcomes that are known from the start have to be drawn in between (`in_drawn_order`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOG_LIMIT = np.log(20.0)
"""At which capital a rate is refused: 1/20 is the 5 % of all looks together."""

BETS = 128
HALVINGS = 30


@dataclass(frozen=True)
class AnytimeInterval:
    """How many observations there are, their mean, and its 95 % interval for every look."""

    n: int
    rate: float
    low: float
    high: float


def anytime_interval(observations: Iterable[float]) -> AnytimeInterval:
    """Return the interval after these observations. Without any it runs from 0 to 1.

    After one win the bets hold 1/2 / m on average: 20 at m = 1/40.

    >>> interval = anytime_interval([1.0])
    >>> round(interval.low, 6), interval.high
    (0.025, 1.0)
    """
    tally = Counter(observations)
    values = np.array(list(tally), dtype=float)
    counts = np.array(list(tally.values()), dtype=float)
    if not all(0 <= value <= 1 for value in tally):
        raise ValueError("An observation lies between 0 (loss) and 1 (win).")
    if not tally:
        return AnytimeInterval(0, 0.5, 0.0, 1.0)
    n = tally.total()
    rate = float(values @ counts) / n
    low = _lower_end(values, counts, rate)
    high = 1 - _lower_end(1 - values, counts, 1 - rate)
    return AnytimeInterval(n, rate, low, high)


def log_capital(values: Floats, counts: Floats, rate: float) -> Floats:
    """Return the logarithm of what one unit became that was bet against a rate in (0, 1).

    `counts` tells how often each of the values was seen; any leading axes are kept.

    >>> round(float(np.exp(log_capital(np.array([1.0]), np.array([9.0]), 0.5))), 2)
    23.27
    """
    return _spread(values, counts, rate, *_bets())


def log_capital_below(values: Floats, counts: Floats) -> Floats:
    """Return the logarithm of what one unit became that was bet on a rate below one half.

    Bets below one half gain nothing on average wherever the rate is one half or more, so that it
    is evidence against all of these at once: such capital ever reaches 1/a with a probability of
    a at most, and so does the mean of several. `counts` as above.

    >>> round(float(np.exp(log_capital_below(np.array([0.0]), np.array([9.0])))), 1)
    46.4
    """
    bets, shares = _bets()
    lower = bets < 0.5
    return _spread(values, counts, 0.5, bets[lower], shares[lower] / shares[lower].sum())


def _spread(values: Floats, counts: Floats, rate: float, bets: Floats, shares: Floats) -> Floats:
    """Return the logarithm of the capital of all bets together, each with its share."""
    seen = values[:, None]  # (V, 1)
    growth = np.log(seen * bets / rate + (1 - seen) * (1 - bets) / (1 - rate))  # (V, bets)
    logs = counts @ growth  # (..., bets)
    largest = logs.max(axis=-1, keepdims=True)
    total: Floats = largest[..., 0] + np.log(np.exp(logs - largest) @ shares)
    return total


def prompt_means(
    outcomes: Iterable[tuple[Hashable, float]], unfinished: Collection[Hashable] = ()
) -> list[float]:
    """Return the mean of each prompt's votes, in the order of the prompts' last votes.

    A prompt that waits for votes is left out: a mean that still changes is no observation.

    >>> prompt_means([("a", 1), ("b", 0), ("c", 1), ("a", 0.5)], unfinished=["c"])
    [0.0, 0.75]
    """
    votes: dict[Hashable, list[float]] = {}
    for prompt, score in outcomes:
        if prompt not in unfinished:
            votes[prompt] = [*votes.pop(prompt, []), score]
    return [sum(scores) / len(scores) for scores in votes.values()]


def in_drawn_order(
    finished: Sequence[float], waiting: int, known: Sequence[float], rng: np.random.Generator
) -> list[float]:
    """Return the finished observations with those between them that nobody had to make.

    An empty answer has lost before anybody votes. Counted first, such outcomes would be a series
    of wins that says nothing of the rest. So a draw over all places, with those still waited
    for, decides which are theirs, and each counts once everything before its place is in. The
    same generator has to come with every look. With nothing waited for, all count.

    >>> in_drawn_order([1.0, 0.5], 0, [0.0], np.random.default_rng(3))
    [1.0, 0.5, 0.0]
    >>> in_drawn_order([1.0], 1, [0.0], np.random.default_rng(3))
    [1.0]
    """
    order = []
    coming = iter(finished)
    for place in rng.permutation(len(finished) + waiting + len(known)):
        observation = known[place] if place < len(known) else next(coming, None)
        if observation is None:
            break
        order.append(observation)
    return order


def _lower_end(values: Floats, counts: Floats, rate: float) -> float:
    """Return the largest rate below the observed one that is refused, by halving."""
    outside, inside = 0.0, rate
    for _ in range(HALVINGS if rate > 0 else 0):
        middle = (outside + inside) / 2
        if log_capital(values, counts, middle) < LOG_LIMIT:
            inside = middle
        else:
            outside = middle
    return outside


@cache
def _bets() -> tuple[Floats, Floats]:
    """Return the bets and their shares of the first unit: Beta(2, 2) by Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(BETS)
    bets = (nodes + 1) / 2
    shares = weights * bets * (1 - bets)
    return bets, shares / shares.sum()
