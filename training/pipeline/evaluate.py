"""Measured properties of models, with their intervals.

The accuracy of a reward model is that on single votes: how often it prefers what a person
preferred. Where two people disagree it is wrong for one of them, so no model can be better than
people allow; their agreement stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from annotations.algorithms.shares import wilson_interval

CALIBRATION_BINS = 5
"""Equal parts of the range from one half to one."""
SAME_LENGTH = 0.1
"""Two completions are about as long if they differ by no more than this share of the longer."""
STRENGTHS = ("significantly", "better", "slightly", "negligibly", "")
SHORTER, AS_LONG, LONGER = "shorter", "about as long", "longer"


@dataclass(frozen=True)
class Judged:
    """A held-out pair: what people said about it and what the model says."""

    prompt_id: int
    cluster: Hashable
    """Pairs of one cluster are not independent of each other."""
    gap: float
    """Score of the first completion minus that of the second."""
    lengths: tuple[int, int]
    """Tokens of the two completions."""
    first_votes: tuple[str, ...]
    """Stated strength of each vote for the first completion."""
    second_votes: tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """A share of votes with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


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
    drawn. Where all draws are alike (one prompt, or never a mistake) they say nothing of what
    others would be: Wilson's interval over the prompts stands for them. Empty input gives
    (nan, nan, nan).

    >>> [round(value, 2) for value in accuracy_with_interval([1.0, 1.0, 1.0], [1, 2, 3])]
    [1.0, 0.44, 1.0]
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
    share = float(hits.sum() / sizes.sum())
    if low == high:
        low, high = wilson_interval(share, len(keys))
    return share, float(low), float(high)


def measure(pairs: Sequence[Judged]) -> dict[str, Any]:
    """Return accuracy, overall and broken down, calibration, and how scores go with length.

    A pair whose votes are all ties says nothing about accuracy and is not counted.
    """
    pairs = [pair for pair in pairs if pair.first_votes or pair.second_votes]
    overall = _share(pairs)
    if overall is None:
        return {"heldout_pairs": 0}
    return {
        "heldout_accuracy": overall.value,
        "heldout_low": overall.low,
        "heldout_high": overall.high,
        "heldout_pairs": len(pairs),
        "heldout_votes": overall.n,
        "heldout_prompts": len({pair.prompt_id for pair in pairs}),
        "by_strength": {
            strength or "unstated": asdict(share)
            for strength in STRENGTHS
            if (share := _share(pairs, strength=strength))
        },
        "by_length": {
            length: asdict(share)
            for length in (SHORTER, AS_LONG, LONGER)
            if (share := _share(pairs, length=length))
        },
        **calibration(pairs),
        **length_bias(pairs),
    }


@dataclass(frozen=True)
class _Vote:
    """One person's choice between two completions, and whether the model makes it too."""

    right: float
    strength: str
    length: str
    """How long what was chosen is beside what was not."""


def _votes(pair: Judged) -> Iterator[_Vote]:
    first, second = pair.lengths
    sides = ((pair.first_votes, 1, first, second), (pair.second_votes, -1, second, first))
    for strengths, sign, chosen, rejected in sides:
        right = 0.5 if pair.gap == 0 else float(pair.gap * sign > 0)
        for strength in strengths:
            yield _Vote(right, strength, _length(chosen, rejected))


def _length(chosen: int, rejected: int) -> str:
    if abs(chosen - rejected) <= SAME_LENGTH * max(chosen, rejected):
        return AS_LONG
    return LONGER if chosen > rejected else SHORTER


def _share(
    pairs: Sequence[Judged], *, strength: str | None = None, length: str | None = None
) -> Share | None:
    """Return the model's accuracy on the votes of a strength or length; None without any."""
    found = [
        (vote.right, pair.cluster)
        for pair in pairs
        for vote in _votes(pair)
        if strength in (None, vote.strength) and length in (None, vote.length)
    ]
    if not found:
        return None
    right, clusters = zip(*found, strict=True)
    value, low, high = accuracy_with_interval(list(right), clusters)
    return Share(value, low, high, len(found))


def human_agreement(pairs: Sequence[Judged]) -> Share | None:
    """Return how often two people who judged one pair chose the same, ties left aside.

    None where no pair was judged by two people.
    """
    same: list[float] = []
    clusters: list[Hashable] = []
    for pair in pairs:
        first, second = len(pair.first_votes), len(pair.second_votes)
        agreeing = math.comb(first, 2) + math.comb(second, 2)
        all_of_two = math.comb(first + second, 2)
        same += [1.0] * agreeing + [0.0] * (all_of_two - agreeing)
        clusters += [pair.cluster] * all_of_two
    if not same:
        return None
    return Share(*accuracy_with_interval(same, clusters), n=len(same))


def calibration(pairs: Sequence[Judged]) -> dict[str, Any]:
    """Return what the model predicts against what people chose, and the error to be expected.

    Which completion of a pair comes first means nothing, so each pair is looked at from the side
    that the model prefers: it gives that one a probability σ(gap) from one half to one, and a share
    of the votes is for it. A bin has the mean of either, with the number of votes `n`; the expected
    calibration error is the mean distance of the two, weighted by `n`.
    """
    columns: list[list[float]] = [[], [], [], []]
    for pair in pairs:
        votes = (len(pair.first_votes), len(pair.second_votes))
        mine = votes[0] if pair.gap > 0 else votes[1] if pair.gap < 0 else sum(votes) / 2
        probability = 1 / (1 + math.exp(-min(abs(pair.gap), 500)))
        number = min(int((probability - 0.5) * 2 * CALIBRATION_BINS), CALIBRATION_BINS - 1)
        for column, value in zip(
            columns, (number, probability * sum(votes), mine, sum(votes)), strict=True
        ):
            column.append(value)
    number_of, predicted, chosen, n = (np.array(column) for column in columns)
    bins = []
    for number in range(CALIBRATION_BINS):
        inside = number_of == number
        if count := float(n[inside].sum()):
            bins.append(
                {
                    "predicted": float(predicted[inside].sum() / count),
                    "chosen": float(chosen[inside].sum() / count),
                    "n": int(count),
                }
            )
    error = sum(one["n"] * abs(one["predicted"] - one["chosen"]) for one in bins) / n.sum()
    return {"calibration": bins, "calibration_error": float(error)}


def length_bias(pairs: Sequence[Judged]) -> dict[str, Any]:
    """Return how often the model and people prefer the longer of two, where one is longer."""
    unequal = [pair for pair in pairs if pair.lengths[0] != pair.lengths[1]]
    if not unequal:
        return {}
    model, people, votes = 0.0, 0, 0
    for pair in unequal:
        first_is_longer = pair.lengths[0] > pair.lengths[1]
        model += 0.5 if pair.gap == 0 else float((pair.gap > 0) == first_is_longer)
        people += len(pair.first_votes if first_is_longer else pair.second_votes)
        votes += len(pair.first_votes) + len(pair.second_votes)
    return {
        "longer_preferred": model / len(unequal),
        "longer_preferred_by_people": people / votes,
        "longer_pairs": len(unequal),
    }


def correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Pearson's correlation; None where either does not vary.

    >>> correlation([1, 2, 3], [2, 4, 6])
    1.0
    >>> correlation([1, 1, 1], [2, 4, 6]) is None
    True
    """
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return round(float(np.corrcoef(first, second)[0, 1]), 6)
