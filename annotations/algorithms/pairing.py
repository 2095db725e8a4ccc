"""Which two models fight next: those about whom another vote says most.

By the ratings of a board the difference between two models has an interval whose width goes with
the square root of V = x' C x, x being +1 at the one and -1 at the other, and C the inverse of the
likelihood's curvature, with the prior's for a model that never fought. A vote between the two adds
p (1 - p) x x' to the curvature, p being the chance that the first wins, and leaves
V / (1 + p (1 - p) V), without another fit (Sherman and Morrison 1950). A pair is worth by how much
its own interval gets narrower: much where little is known, and where the two are so close that
nobody knows who wins.

So Chatbot Arena chooses its pairs, too, and draws each as often as it is worth (Chiang et al. 2024,
arXiv:2403.04132, section 5). Their interval is that of the pair's win rate, from its own battles
alone; what the battles with others say of the two is counted here. Of a pair that met nobody else n
times, half won by either, a vote takes 1 / sqrt(n + 1) - 1 / sqrt(n + 2) in both, up to a factor
and with one battle's worth of prior.

Nothing is worth 0, so every pair goes on being drawn, now and then, and no rating rests for ever on
a few early votes.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from annotations.algorithms.battles import Battles
from annotations.algorithms.bradley_terry import POINTS, RIDGE, fit, hessian
from annotations.algorithms.winrate import Z_95

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
    """Points of rating by which the 95 % interval of their difference would get narrower."""


def draw_pair(models: Sequence[M], battles: Battles[M], rng: random.Random) -> tuple[M, M]:
    """Return two of the models, drawn by what a vote is worth: who is shown first, and who second.

    Battles of models that do not fight any more are welcome: they place the others. Raises
    ValueError for fewer than two models.

    >>> draw_pair(["a", "b"], Battles.of([]), random.Random(1)) in [("a", "b"), ("b", "a")]
    True
    """
    fighters = dict.fromkeys(models)
    if len(fighters) < 2:
        raise ValueError("It takes two to fight. Let at least two models into the arena.")
    new = tuple(model for model in fighters if model not in battles.models)
    everybody = replace(battles, models=(*battles.models, *new))
    found = worthwhile_matches(everybody, fit(everybody).parameters)
    matches = [one for one in found if one.first in fighters and one.second in fighters]
    drawn = rng.choices(matches, [one.gain for one in matches])[0]
    pair = drawn.first, drawn.second
    return pair if rng.random() < 0.5 else pair[::-1]


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
    covariance = np.linalg.inv(known)
    i, j = np.triu_indices(size, 1)  # (P,) each
    own = np.diag(covariance)
    variance = own[i] + own[j] - 2 * covariance[i, j]
    chance = 1 / (1 + np.exp(theta[j] - theta[i]))
    learnt = 1 + votes * chance * (1 - chance) * variance
    gain = 2 * Z_95 * POINTS * (np.sqrt(variance) - np.sqrt(variance / learnt))
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
