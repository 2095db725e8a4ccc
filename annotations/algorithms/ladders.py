"""Other ways to order models by their battles, shown beside Bradley-Terry.

Most take a matrix of wins, (M, M), row beats column, as `Battles.win_matrix` gives it. None of them
has intervals; where a method leaves the scale open its function says which one it takes.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from annotations.algorithms.battles import Battles

M = TypeVar("M", bound=Hashable)
Array = NDArray[np.float64]

ELO_K = 4.0
"""Points that the surer loser of a battle loses at most; small, as in FastChat, to be steady."""

ELO_START = 1000.0
ELO_SCALE = 400.0
"""Points of difference at which the odds are ten to one."""

DAMPING = 0.85
"""How often PageRank follows a battle, and does not jump to any model (Page and others, 1998)."""

MOST_STEPS = 10_000
CLOSE = 1e-13
"""Relative change at which an iteration has arrived."""


def online_elo(battles: Battles[M], *, k: float = ELO_K) -> Array:
    """Return the ratings after the last battle, (M,), each battle moving the two that fought it.

    Everybody starts at 1000 (Elo, The Rating of Chessplayers, 1978). The order of the battles
    matters, so those that were taken together are refused with ValueError.

    >>> online_elo(Battles.of([("a", "b", "left"), ("a", "b", "tie")])).round(2).tolist()
    [1001.98, 998.02]
    """
    if (battles.count != 1).any():
        raise ValueError("Online Elo depends on the order: give each battle a row of its own.")
    ratings = [ELO_START] * len(battles.models)
    fought = zip(battles.left.tolist(), battles.right.tolist(), battles.score.tolist(), strict=True)
    for left, right, score in fought:
        expected = 1 / (1 + 10 ** ((ratings[right] - ratings[left]) / ELO_SCALE))
        ratings[left] += k * (score - expected)
        ratings[right] -= k * (score - expected)
    return np.array(ratings)


def wins(win_matrix: Array) -> Array:
    """Return how often each model won, (M,), ties as half: who fights more has more."""
    total: Array = win_matrix.sum(axis=1)
    return total


def mean_win_fraction(win_fractions: Array) -> Array:
    """Return each model's share of wins, averaged over the models that it met, (M,).

    NaN for who met nobody. Every opponent counts the same, however often they met.

    >>> rows = [("a", "b", "left"), ("a", "b", "left"), ("c", "a", "tie")]
    >>> mean_win_fraction(Battles.of(rows, models="abc").win_fractions())
    array([0.75, 0.  , 0.5 ])
    """
    met = ~np.isnan(win_fractions)
    opponents = met.sum(axis=1)
    total = np.where(met, win_fractions, 0).sum(axis=1)
    return np.divide(total, opponents, out=np.full(len(total), np.nan), where=opponents > 0)


def eigenvector(win_matrix: Array) -> Array:
    """Return the eigenvector centrality, (M,), of length 1: a win counts as the beaten one scores.

    Bonacich, American Journal of Sociology 92, 1987. Models that fight more score more. Without
    battles all score 0.
    """
    models = len(win_matrix)
    if not win_matrix.any():
        return np.zeros(models)
    scores = np.full(models, 1 / models)
    # A little of oneself keeps two groups that beat only each other from swapping for ever.
    handed = win_matrix + win_matrix.mean() * np.eye(models)
    for _ in range(MOST_STEPS):
        new = handed @ scores
        new = new / np.linalg.norm(new)
        if np.abs(new - scores).max() < CLOSE:
            break
        scores = new
    return new


def pagerank(win_matrix: Array, *, damping: float = DAMPING) -> Array:
    """Return PageRank, (M,), which sums to 1: each model hands its score on to those that beat it.

    Brin and Page, Computer Networks 30, 1998. Whom nobody beat hands on to all alike.
    """
    models = len(win_matrix)
    losses = win_matrix.sum(axis=0)
    shares = np.full((models, models), 1 / max(models, 1))
    np.divide(win_matrix, losses, out=shares, where=losses > 0)
    jumps = np.full(models, (1 - damping) / max(models, 1))
    return np.linalg.solve(np.eye(models) - damping * shares, jumps)


def newman(win_matrix: Array, tie_matrix: Array) -> tuple[Array, float]:
    """Return strengths, (M,), and the readiness to tie, nu: Bradley-Terry that models ties.

    Left wins, right wins and ties have odds s_left : s_right : 2 nu sqrt(s_left s_right)
    (Davidson, JASA 65, 1970). It is found by the iteration of Newman (JMLR 24, 2023), each step
    halved on the logarithmic scale, where two models would otherwise swap for ever. The geometric
    mean of the strengths is 1. `win_matrix` has ties as half wins. Raises ValueError where some
    models won or lost every battle against the others (Ford, American Mathematical Monthly 64,
    1957), which no prior holds here, and where every battle was a tie.

    >>> strengths, nu = newman(np.array([[0.0, 3.0], [1.0, 0.0]]), np.zeros((2, 2)))
    >>> float((strengths[0] / strengths[1]).round(6)), nu
    (3.0, 0.0)
    """
    decided = win_matrix - tie_matrix / 2
    if not decided.any() or not _strongly_connected(win_matrix):
        raise ValueError(
            "Newman's ratings are not defined: some models won or lost every battle against the "
            "others, or all was tied. Wait for more battles, or use Bradley-Terry with its ridge."
        )
    strengths, nu = np.ones(len(win_matrix)), 0.5
    for _ in range(MOST_STEPS):
        between = np.sqrt(np.outer(strengths, strengths))  # (M, M)
        both = strengths[:, None] + strengths
        odds = both + 2 * nu * between
        gained = (win_matrix * (strengths + nu * between) / odds).sum(axis=1)
        lost = (win_matrix.T * (1 + nu * between / strengths[:, None]) / odds).sum(axis=1)
        nu = (tie_matrix * both / odds).sum() / (4 * (decided * between / odds).sum())
        new = np.sqrt(strengths * gained / lost)
        new = new / np.exp(np.log(new).mean())
        if np.abs(new / strengths - 1).max() < CLOSE:
            break
        strengths = new
    return new, float(nu)


def _strongly_connected(win_matrix: Array) -> bool:
    """Return whether from every model a chain of wins leads to every other."""
    reached = (win_matrix > 0) | np.eye(len(win_matrix), dtype=bool)
    for _ in range(len(win_matrix).bit_length()):
        reached = reached @ reached
    return bool(reached.all())
