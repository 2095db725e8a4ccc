"""Blind comparisons between models, as arrays that ratings are computed from.

A win counts 1 for the left model, a tie one half, a loss 0. A vote of "both bad" says nothing about
which is better and is left out, as is a battle of a model with itself; models that are named only
there are still on the board. (FastChat counts "both bad" as a tie: to get its figures, say "tie".)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

M = TypeVar("M", bound=Hashable)

SCORES = {"left": 1.0, "tie": 0.5, "right": 0.0}
"""What a battle is worth to the left model; "both_bad" has no score."""


@dataclass(frozen=True)
class Battles(Generic[M]):
    """N battles between models, in the order in which they were fought."""

    models: tuple[M, ...]  # those of the left side first, then as they appear
    left: NDArray[np.intp]  # (N,) places in `models`
    right: NDArray[np.intp]  # (N,)
    score: NDArray[np.float64]  # (N,) 1, 0.5 or 0, for the left model
    count: NDArray[np.float64]  # (N,) how many battles went this way
    style: NDArray[np.float64]  # (N, K) left minus right; K is 0 without style control
    cluster: NDArray[np.intp] | None  # (N,) battles of one number are not independent

    @classmethod
    def of(
        cls,
        rows: Iterable[tuple[M, M, str]],
        *,
        models: Iterable[M] = (),
        counts: Sequence[int] | None = None,
        style: ArrayLike | None = None,
        clusters: Sequence[Hashable] | None = None,
    ) -> Battles[M]:
        """Return the battles of (left, right, outcome) rows; what is given with them goes by row.

        An outcome is left, right, tie or both_bad. `models` are on the board even if they never
        fought. `counts` says how often each row happened, for rows that a database has grouped.
        `style` is (rows, K): the left answer's minus the right one's. `clusters` names what makes
        votes depend on each other: the prompt, or the person. Raises ValueError where an outcome
        is unknown, or something is not given for every row.

        >>> battles = Battles.of([("a", "b", "left"), ("b", "c", "both_bad")])
        >>> battles.models, battles.score
        (('a', 'b', 'c'), array([1.]))
        """
        listed = list(rows)
        places: dict[M, int] = {model: place for place, model in enumerate(dict.fromkeys(models))}
        left = _places((row[0] for row in listed), places)
        right = _places((row[1] for row in listed), places)
        score = np.array([_score(outcome) for _, _, outcome in listed], dtype=float)
        everything = cls(
            models=tuple(places),
            left=left,
            right=right,
            score=score,
            count=_by_row(counts, len(listed), default=1),
            style=_style(style, len(listed)),
            cluster=None if clusters is None else _places(clusters, {}),
        )
        if clusters is not None and len(clusters) != len(listed):
            raise ValueError(f"Give one cluster a battle: {len(listed)}, not {len(clusters)}.")
        return everything._only((left != right) & ~np.isnan(score))

    def aggregated(self) -> Battles[M]:
        """Return the same battles, those alike in models and score taken together.

        Their order is lost. Where style or clusters tell battles apart they stay as they are.
        """
        if self.style.shape[1] or self.cluster is not None:
            return self
        turned = self.left > self.right
        first, second = np.minimum(self.left, self.right), np.maximum(self.left, self.right)
        halves = np.rint(2 * np.where(turned, 1 - self.score, self.score)).astype(np.intp)
        size = max(len(self.models), 1)
        kept, row_of = np.unique((first * size + second) * 3 + halves, return_inverse=True)
        return replace(
            self,
            left=kept // 3 // size,
            right=kept // 3 % size,
            score=kept % 3 / 2,
            count=np.bincount(row_of, self.count, minlength=len(kept)).astype(float),
            style=np.zeros((len(kept), 0)),
        )

    def fought(self) -> NDArray[np.float64]:
        """Return how many battles each model fought, (M,)."""
        matrix = self.win_matrix()
        return matrix.sum(axis=0) + matrix.sum(axis=1)

    def win_matrix(self) -> NDArray[np.float64]:
        """Return what the model of each row won against that of each column, ties as half: (M, M).

        >>> Battles.of([("a", "b", "left"), ("b", "a", "tie")]).win_matrix()
        array([[0. , 1.5],
               [0.5, 0. ]])
        """
        ahead = self.sum_by_pair(self.count * self.score)
        return ahead + self.sum_by_pair(self.count * (1 - self.score)).T

    def tie_matrix(self) -> NDArray[np.float64]:
        """Return how often two models tied, (M, M), symmetric."""
        ties = self.sum_by_pair(self.count * (self.score == 0.5))
        return ties + ties.T

    def win_fractions(self) -> NDArray[np.float64]:
        """Return the share that the row's model won of its battles with the column's, (M, M).

        Ties are half wins; where two models never met, as on the diagonal, it is NaN.

        >>> Battles.of([("a", "b", "left"), ("b", "a", "tie")]).win_fractions()
        array([[ nan, 0.75],
               [0.25,  nan]])
        """
        wins = self.win_matrix()
        met = wins + wins.T
        return np.divide(wins, met, out=np.full_like(wins, np.nan), where=met > 0)

    def islands(self) -> list[tuple[M, ...]]:
        """Return the models in groups that battles connect, the largest group first.

        Ratings of two groups hang together by the prior alone and say nothing of one another.

        >>> Battles.of([("a", "b", "left"), ("c", "d", "tie")], models="abcd").islands()
        [('a', 'b'), ('c', 'd')]
        """
        met = self.win_matrix() + self.win_matrix().T > 0
        left, groups = list(range(len(self.models))), []
        while left:
            group = {left[0]}
            while (wider := group | _neighbours(met, group)) != group:
                group = wider
            groups.append(tuple(self.models[place] for place in sorted(group)))
            left = [place for place in left if place not in group]
        return sorted(groups, key=len, reverse=True)

    def sum_by_pair(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of (N,) weights by left model (row) and right model (column), (M, M)."""
        size = len(self.models)
        sums = np.bincount(self.left * size + self.right, weight, minlength=size * size)
        return sums.reshape(size, size).astype(float)  # counts of nothing are integers

    def _only(self, kept: NDArray[np.bool_]) -> Battles[M]:
        return replace(
            self,
            left=self.left[kept],
            right=self.right[kept],
            score=self.score[kept],
            count=self.count[kept],
            style=self.style[kept],
            cluster=None if self.cluster is None else self.cluster[kept],
        )


def _neighbours(met: NDArray[np.bool_], group: set[int]) -> set[int]:
    return set(np.flatnonzero(met[sorted(group)].any(axis=0)).tolist())


def _places(names: Iterable[M], places: dict[M, int]) -> NDArray[np.intp]:
    """Return the place of each name, and give every new name the next one."""
    return np.array([places.setdefault(name, len(places)) for name in names], dtype=np.intp)


def _score(outcome: str) -> float:
    if outcome == "both_bad":
        return np.nan
    if outcome not in SCORES:
        raise ValueError(f"An outcome is left, right, tie or both_bad, not {outcome!r}.")
    return SCORES[outcome]


def _by_row(values: Sequence[int] | None, rows: int, *, default: int) -> NDArray[np.float64]:
    if values is None:
        return np.full(rows, float(default))
    if len(values) != rows or min(values, default=0) < 0:
        raise ValueError(f"Give one count a row, none of them below 0: {rows}, not {len(values)}.")
    return np.array(values, dtype=float)


def _style(style: ArrayLike | None, rows: int) -> NDArray[np.float64]:
    if style is None:
        return np.zeros((rows, 0))
    values = np.asarray(style, dtype=float)
    if values.ndim != 2 or len(values) != rows or not np.isfinite(values).all():
        raise ValueError(
            f"Style is a table of finite numbers with a row for each of the {rows} battles."
        )
    return values
