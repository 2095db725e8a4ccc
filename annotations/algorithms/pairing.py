"""Which two models to let fight next: where votes would narrow the ratings most.

The curvature H of the likelihood says what is known; its inverse is the variance of the ratings,
with the prior's for a model that never fought. A vote between two models adds p (1 - p) x x' to H,
x being +1 at one and -1 at the other. By how much that lowers the sum of all variances follows
without another fit (Sherman and Morrison 1950): A-optimal design. Pairs are worth much where little
is known of a model, and where two are so close that nobody knows who wins.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from annotations.algorithms.battles import Battles
from annotations.algorithms.bradley_terry import RIDGE, hessian

M = TypeVar("M", bound=Hashable)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Match(Generic[M]):
    """Two models, and what votes between them would bring."""

    first: M
    second: M
    met: int
    """Votes between the two so far."""
    chance: float
    """That the first wins, as far as is known."""
    gain: float
    """The part of the variance of all ratings together that the votes would take away."""


def worthwhile_matches(
    battles: Battles[M],
    theta: Array,
    *,
    votes: int = 1,
    most: int | None = None,
    ridge: float = RIDGE,
) -> list[Match[M]]:
    """Return the pairs of the board's models where so many votes would bring most, best first.

    `theta` are the models' strengths, (M,), 0 for one that never fought. Of pairs that are worth
    the same those that come first on the board stay first.

    >>> from annotations.algorithms.battles import Battles
    >>> fought = Battles.of([("a", "b", "left"), ("a", "b", "right")] * 20, models="abc")
    >>> [(one.first, one.second) for one in worthwhile_matches(fought, np.zeros(3))]
    [('a', 'c'), ('b', 'c'), ('a', 'b')]
    """
    size = len(battles.models)
    parameters = np.concatenate([theta, np.zeros(battles.style.shape[1])])
    known = hessian(parameters, battles.aggregated(), ridge)[:size, :size]
    variance = np.linalg.inv(known).astype(np.float64)
    i, j = np.triu_indices(size, 1)  # (P,) each
    chance = 1 / (1 + np.exp(theta[j] - theta[i]))
    learnt = votes * chance * (1 - chance)
    narrowed = _of_differences(variance @ variance, i, j)
    taken = learnt * narrowed / (1 + learnt * _of_differences(variance, i, j))
    gain = taken / max(np.trace(variance), np.finfo(float).tiny)
    won = battles.win_matrix()
    met = np.rint(won + won.T).astype(int)
    return [
        Match(
            first=battles.models[i[pair]],
            second=battles.models[j[pair]],
            met=int(met[i[pair], j[pair]]),
            chance=float(chance[pair]),
            gain=float(gain[pair]),
        )
        for pair in np.argsort(-gain, kind="stable")[:most]
    ]


def _of_differences(matrix: Array, i: NDArray[np.intp], j: NDArray[np.intp]) -> Array:
    """Return x' A x for every x that is +1 at i and -1 at j, (P,)."""
    of_each = np.diag(matrix)
    found: Array = of_each[i] + of_each[j] - 2 * matrix[i, j]
    return found
