"""Whose votes go against everybody else's: the test by which Chatbot Arena finds outliers.

Each vote is held against all wins and losses between the same two models, the vote itself among
them. `p_upper` is the share of these that are no better for the first model than the vote,
`p_lower` the share that are no worse. The odds against a voter are the product of 1 / (2 p) over
their votes, in the order in which they were cast; above 20, either way and after any of the first
100 votes, the voter is an outlier (Chiang and others, arXiv:2403.04132, and FastChat's
`outlier_detect`, with its defaults). Whoever has cast fewer than five votes is not tested.

A tie is no win and no loss, but is counted among those that it is held against, as the paper does:
else a tie where all others see the same winner would have a share of 0, and one vote would decide.

The test is harsh where others agree: one vote against forty is odds of 20 already. So what it finds
is a reason to look, and no proof.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

FEWEST_VOTES = 5
MOST_VOTES = 100
LOG_LIMIT = np.log(1 / 0.05)


@dataclass(frozen=True)
class VoterReport:
    """What one voter's votes look like beside everybody else's."""

    votes: int
    agreement: float | None
    """Of the wins and losses, those for the side that most others chose; None if nobody else
    decided between the same models."""
    odds: float
    """The largest odds that were reached against the voter, either way."""
    flagged_after: int | None
    """With how many votes the odds passed 20 to 1."""


def voter_reports(voter: Numbers, pair: Numbers, vote: Floats) -> list[VoterReport]:
    """Return a report for each voter, (V,); voters are numbered from 0, votes in their order.

    `pair` numbers the two models of a vote, whichever was on the left, and `vote` is 1, 0.5 or 0
    for the first of the two. Without votes nobody is reported.

    >>> ones = np.zeros(9, dtype=np.int64)
    >>> voter_reports(np.arange(9), ones, np.array([1.0] * 8 + [0.0]))[8].agreement
    0.0
    """
    if not len(voter):
        return []
    pair = np.unique(pair, return_inverse=True)[1]
    upper, lower = _steps(pair, vote)
    agreed = _with_the_others(voter, pair, vote)
    order = np.argsort(voter, kind="stable")
    ends = np.cumsum(np.bincount(voter))
    return [_report(upper[mine], lower[mine], agreed[mine]) for mine in np.split(order, ends[:-1])]


def _steps(pair: Numbers, vote: Floats) -> tuple[Floats, Floats]:
    """Return by how much each vote raises the logarithm of the odds, upwards and downwards."""
    won = np.bincount(pair, vote == 1)[pair]
    lost = np.bincount(pair, vote == 0)[pair]
    tied = vote == 0.5
    all_of_them = won + lost + tied
    no_better = np.where(vote == 1, all_of_them, lost + tied)
    no_worse = np.where(vote == 0, all_of_them, won + tied)
    return -np.log(2 * no_better / all_of_them), -np.log(2 * no_worse / all_of_them)


def _with_the_others(voter: Numbers, pair: Numbers, vote: Floats) -> Floats:
    """Return 1 where a vote is for the side of most others, 0 where against, NaN where neither."""
    ahead = np.where(vote == 1, 1.0, np.where(vote == 0, -1.0, 0.0))
    own = np.unique(voter * (pair.max() + 1) + pair, return_inverse=True)[1]
    others = np.bincount(pair, ahead)[pair] - np.bincount(own, ahead)[own]
    return np.where((others == 0) | (ahead == 0), np.nan, others * ahead > 0)


def _report(upper: Floats, lower: Floats, agreed: Floats) -> VoterReport:
    votes = len(upper)
    reached = np.maximum(np.cumsum(upper[:MOST_VOTES]), np.cumsum(lower[:MOST_VOTES]))
    beyond = np.flatnonzero(reached > LOG_LIMIT)
    is_tested = votes >= FEWEST_VOTES
    known = agreed[~np.isnan(agreed)]
    return VoterReport(
        votes=votes,
        agreement=float(known.mean()) if len(known) else None,
        odds=float(np.exp(reached.max())) if votes else 0.0,
        flagged_after=int(beyond[0]) + 1 if is_tested and len(beyond) else None,
    )
