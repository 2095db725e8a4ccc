"""What an answer is expected to tell for each second that it costs, and what it told.

Two texts differ by x, and how far the first is ahead of the second is x' w: w is the head of a
reward model, x what its trunk makes of the two; or w are the strengths of models on a leaderboard,
x being +1 at the one and -1 at the other. What is known of w is a normal distribution (the Laplace
approximation: MacKay, Neural Computation 4, 1992), so that the logit of a pair has a mean m and a
variance v = x' C x. C begins as wide as the prior; each answer adds p (1 - p) x x' to its inverse.

An answer is worth the information that it is expected to give about w: what is not known of the
answer, less what nobody could know of it, the noise (Lindley, Annals of Mathematical Statistics 27,
1956; Houlsby and others 2011, arXiv:1112.5745). So neither two texts of which everybody knows the
better one are asked, nor two that are equally good to everybody. What an answer told is how far it
moved what is known: the divergence of the belief after it from that before. On average over what
the belief expects the two are the same number, so the second one checks the first.

Several answers that tell the same are worth less than the sum. `ask_order` therefore takes one item
after the other, with each of them reckoned as answered for those after it, the best by nats a
second; what an item is worth only falls by that, which is why looking at the best alone is enough
(Krause and Guestrin 2007; Mukherjee and others 2024, arXiv:2404.13895, do so for preferences).

Pairs of one ranking of K hang together, so each has a share of 2 / K, as in `crowd`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.algorithms.winrate import Z_95

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

NODES: Array = np.linspace(-5, 5, 61)
WEIGHTS: Array = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
"""Where a normal distribution is looked at, and how much of it lies there."""

SPREAD = 2.0
"""How far two texts are apart for people before anything is known of them, as a logit: the skill of
a typical person in `crowd`, who is right on 3 of 4."""

START_SECONDS, WORDS_A_SECOND = 8.0, 4.0
"""To find one's way and decide, and silent reading (Brysbaert 2019: 238 words a minute)."""
EARLY_PACE = 10
"""So many answers at that pace everybody is taken to have given before."""
FLAT_SECONDS = 30.0
"""What each answer costs where all are paid the same, however long they take."""

LEAST = 20
"""Of things that were asked, in each arm, before the two are compared."""


def gain(mean: Array, variance: Array) -> Array:
    """Return the nats that a choice is expected to tell about w, by the logit's mean and variance.

    At most log 2. Nothing where nothing is open: a variance of 0, a mean far out.

    >>> gain(np.array([0.0, 0.0, 9.0]), np.array([0.0, 1.0, 1.0])).round(3)
    array([0.   , 0.094, 0.   ])
    """
    logits = mean[..., None] + np.sqrt(variance)[..., None] * NODES
    chances = _sigmoid(logits)
    noise = (np.logaddexp(0, logits) - logits * chances) @ WEIGHTS
    overall = np.clip(chances @ WEIGHTS, 1e-300, 1 - 1e-16)
    open_: Array = -overall * np.log(overall) - (1 - overall) * np.log1p(-overall) - noise
    return np.maximum(open_, 0)


def told(mean: Array, variance: Array, score: Array) -> Array:
    """Return the nats by which an answer moved what is known; it scores 1 for the first, 0 not.

    A half is a tie that counts as half an answer for each.
    """
    logits = mean[..., None] + np.sqrt(variance)[..., None] * NODES
    said = score[..., None] * logits - np.logaddexp(0, logits)
    chances = np.exp(said)
    total = chances @ WEIGHTS
    moved: Array = (chances * said) @ WEIGHTS / total - np.log(total)
    return np.maximum(moved, 0)


def decided(mean: Array, ties: float) -> Array:
    """Return the chance that an answer is no tie, where people tie so many that are equally good.

    Davidson's model, as in `crowd`. From a tie a reward model learns nothing.

    >>> decided(np.array([0.0, 4.0]), ties=0.2).round(2)
    array([0.8 , 0.94])
    """
    odds = 2 * ties / (1 - ties)
    either = 2 * np.cosh(np.clip(mean, -50, 50) / 2)
    chance: Array = either / (either + odds)
    return chance


def belief(differences: Array, mean: Array, weight: Array, *, typical: float) -> Array:
    """Return C, (D, D): what is not known of w after answers to pairs, (A, D).

    `mean` is how far each pair's first is ahead, (A,), `weight` how many answers it stands for, and
    `typical` the mean squared length of differences, of which the prior has a logit of SPREAD.
    """
    chance = _sigmoid(mean)
    prior = typical / SPREAD**2 if typical > 0 else 1.0
    known = differences.T @ (differences * (weight * chance * (1 - chance))[:, None])
    return np.asarray(np.linalg.inv(known + prior * np.eye(differences.shape[1])), dtype=float)


@dataclass(frozen=True)
class Questions:
    """N items with P pairs of texts, in order; the pairs of an item stand together."""

    item: Numbers  # (P,) which of the N items
    difference: Array  # (P, D)
    mean: Array  # (P,) how far the first is ahead
    share: Array  # (P,) of an answer: 1, or 2 / K in a ranking of K
    seconds: Array  # (N,) what an answer to the item costs
    ties: float = 0.0
    """How many of two texts that are equally good people tie, where a tie tells nothing."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.difference).all() and np.isfinite(self.mean).all()):
            raise ValueError("A score is not a number. Leave out the items that have such scores.")


@dataclass(frozen=True)
class Worth:
    """What is known of the items before they are asked."""

    nats: Array  # (N,) expected of each, those before it being answered
    order: Numbers  # (N,) the items, the best first; of equal ones those that came first
    variance: Array  # (P,) of each pair's logit, nothing else being asked


def ask_order(questions: Questions, covariance: Array, *, most: int) -> Worth:
    """Return the items in the order in which to ask them: the first `most` one after the other.

    Those after them stand by what they are worth at most, with those before them answered.

    >>> alike = np.array([[1.0, 0], [1.0, 0], [0, 1.0]])
    >>> some = Questions(np.arange(3), alike, np.zeros(3), np.ones(3), np.ones(3))
    >>> ask_order(some, np.eye(2), most=3).order  # the second would tell what the first told
    array([0, 2, 1])
    """
    number, size = len(questions.seconds), len(questions.item)
    starts = np.searchsorted(questions.item, np.arange(number + 1))
    x, known = questions.difference, covariance.copy()
    alone = np.einsum("pd,pd->p", x @ known, x) if size else np.zeros(0)
    alone = np.maximum(alone, 0)
    gains = _pair_gains(questions, slice(None), alone)
    nats: Array = np.bincount(questions.item, gains, number).astype(float)
    heap = [(-nats[one] / questions.seconds[one], one, 0) for one in range(number)]
    heapq.heapify(heap)
    order: list[int] = []
    while heap and len(order) < most:
        _, one, seen = heapq.heappop(heap)
        pairs = slice(starts[one], starts[one + 1])
        if seen < len(order):
            variance = np.einsum("pd,pd->p", x[pairs] @ known, x[pairs])
            nats[one] = _pair_gains(questions, pairs, np.maximum(variance, 0)).sum()
            heapq.heappush(heap, (-nats[one] / questions.seconds[one], one, len(order)))
            continue
        order.append(one)
        for pair in range(pairs.start, pairs.stop):
            _answer(known, x[pair], questions.mean[pair], questions.share[pair])
    order += [one for _, one, _ in sorted(heap)]
    return Worth(nats, np.array(order, dtype=np.int64), alone)


def _pair_gains(questions: Questions, pairs: slice, variance: Array) -> Array:
    mean = questions.mean[pairs]
    whole: Array = gain(mean, variance) * decided(mean, questions.ties) * questions.share[pairs]
    return whole


def _answer(covariance: Array, x: Array, mean: float, share: float) -> None:
    """Reckon a pair as answered (Sherman and Morrison 1950); C is changed in place."""
    chance = 0.5 * (1 + math.tanh(mean / 2))
    weight = share * chance * (1 - chance)
    along = covariance @ x
    covariance -= np.outer(along, along) * (weight / (1 + weight * float(x @ along)))


def pace(answered: Sequence[tuple[int, float]]) -> float:
    """Return how many times as long people take as reckoned, from (words, seconds) of answers.

    The median, so that a few who left the page open change nothing. Without answers it is 1.

    >>> pace([(100, 66.0)] * 11)
    2.0
    """
    ratios = [seconds / _seconds(words) for words, seconds in answered if seconds > 0]
    return float(np.median([1.0] * EARLY_PACE + ratios))


def _seconds(words: float) -> float:
    return START_SECONDS + words / WORDS_A_SECOND


def paid_seconds(words: int, pace: float, *, per_item: int = 0, per_hour: int = 0) -> float:
    """Return what an answer about so many words costs, in seconds of work, by the rates of pay.

    Paid is the rate for an item or that for its time, whichever is more. Where nothing is paid, or
    time alone, it is the time; where items alone, it is the same for all.

    >>> paid_seconds(100, 1.0)
    33.0
    >>> paid_seconds(100, 1.0, per_item=300_000, per_hour=15_000_000)
    72.0
    """
    if per_item and not per_hour:
        return FLAT_SECONDS
    seconds = pace * _seconds(words)
    return max(seconds, 3600 * per_item / per_hour) if per_hour else seconds


@dataclass(frozen=True)
class Rate:
    """So much for each of `size`, with the standard error over `things` that were asked."""

    value: float
    error: float
    things: int

    @property
    def interval(self) -> tuple[float, float]:
        reach = Z_95 * self.error
        return self.value - reach, self.value + reach


def rate(amount: Array, size: Array) -> Rate | None:
    """Return the sum of amounts by that of sizes, each a sum over one thing that was asked.

    Answers to one thing are not independent. None where there are not two things.

    >>> found = rate(np.array([2.0, 4.0]), np.array([1.0, 1.0]))
    >>> found and (found.value, found.error)
    (3.0, 1.0)
    """
    things, total = len(amount), float(size.sum())
    if things < 2 or total <= 0:
        return None
    value = float(amount.sum()) / total
    squares = float(((amount - value * size) ** 2).sum())
    return Rate(value, math.sqrt(squares * things / (things - 1)) / total, things)


@dataclass(frozen=True)
class Times:
    """How many times as much the one is as the other, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def saved(self) -> tuple[float, float, float]:
        """Return which share of the others is not needed to learn as much, with its interval.

        >>> Times(2.0, 1.6, 2.5).saved
        (0.5, 0.375, 0.6)
        """
        return 1 - 1 / self.value, 1 - 1 / self.low, 1 - 1 / self.high


def times(first: Rate | None, second: Rate | None) -> Times | None:
    """Return how many times as much the first is as the second (delta method, on the logarithm).

    None before both have LEAST things, and where either tells nothing that could be told apart
    from 0: a ratio to that has no interval.
    """
    if first is None or second is None or min(first.things, second.things) < LEAST:
        return None
    if min(first.interval[0], second.interval[0]) <= 0:
        return None
    value = first.value / second.value
    reach = Z_95 * math.hypot(first.error / first.value, second.error / second.value)
    return Times(value, value * math.exp(-reach), value * math.exp(reach))


def _sigmoid(z: Array) -> Array:
    half: Array = 0.5 * (1 + np.tanh(z / 2))
    return half
