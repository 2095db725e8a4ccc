"""How far people agree on the same items, beyond what chance would give.

A unit is what several people said about one thing: a sequence of labels, one a person. Units with
fewer than two labels say nothing about agreement and are left out. Ties are labels like others.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Unit = Sequence[Hashable]
RESAMPLES = 1000


@dataclass(frozen=True)
class Agreement:
    """Two statistics over the same units, and the 95 % bootstrap interval of alpha.

    A statistic is None where it is not defined: nothing was judged twice, or (alpha) everybody
    gave one and the same label throughout, which leaves nothing for chance to disagree about.
    """

    units: int
    labels: int
    pairwise: float | None
    alpha: float | None
    alpha_low: float | None
    alpha_high: float | None


def agreement(
    units: Sequence[Unit],
    *,
    rng: np.random.Generator,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = RESAMPLES,
) -> Agreement:
    """Return pairwise agreement and Krippendorff's nominal alpha with its bootstrap interval.

    Whole clusters are resampled, for units that are not independent (the pairs of one ranking);
    without `clusters` every unit is its own.
    """
    table = _Table.of(units, clusters)
    low, high = table.alpha_interval(rng, resamples)
    return Agreement(
        units=table.units,
        labels=int(table.sizes.sum()),
        pairwise=table.pairwise(),
        alpha=table.alpha(),
        alpha_low=low,
        alpha_high=high,
    )


def pairwise_agreement(units: Sequence[Unit]) -> float | None:
    """Return the share of pairs of people on one unit who said the same.

    >>> pairwise_agreement([["left", "left", "tie"], ["tie", "tie"]])
    0.5
    """
    return _Table.of(units, None).pairwise()


def krippendorff_alpha(units: Sequence[Unit]) -> float | None:
    """Return Krippendorff's alpha for nominal labels: 1 is agreement, 0 is chance.

    >>> krippendorff_alpha([["a", "a"], ["b", "b"]])
    1.0
    """
    return _Table.of(units, None).alpha()


@dataclass(frozen=True)
class _Table:
    """Sums by cluster, from which both statistics follow; sums add up over resampled clusters."""

    units: int
    sizes: NDArray[np.float64]  # (C,) labels
    counts: NDArray[np.float64]  # (C, K) labels of each category
    disagreement: NDArray[np.float64]  # (C,) ordered disagreeing pairs / (labels of the unit - 1)
    pairs: NDArray[np.float64]  # (C,) ordered pairs of labels
    agreeing: NDArray[np.float64]  # (C,) ordered pairs of equal labels

    @classmethod
    def of(cls, units: Sequence[Unit], clusters: Sequence[Hashable] | None) -> _Table:
        names: Sequence[Hashable] = range(len(units)) if clusters is None else clusters
        judged = [(unit, name) for unit, name in zip(units, names, strict=True) if len(unit) >= 2]
        rows = {name: row for row, name in enumerate(dict.fromkeys(name for _, name in judged))}
        columns = {
            label: column
            for column, label in enumerate(
                dict.fromkeys(label for unit, _ in judged for label in unit)
            )
        }
        counts = np.zeros((len(rows), len(columns)))
        disagreement, pairs, agreeing = np.zeros((3, len(rows)))
        for unit, name in judged:
            row, size = rows[name], len(unit)
            mine = np.zeros(len(columns))
            for label in unit:
                mine[columns[label]] += 1
            same = float((mine * (mine - 1)).sum())
            counts[row] += mine
            pairs[row] += size * (size - 1)
            agreeing[row] += same
            disagreement[row] += size - same / (size - 1)
        return cls(len(judged), counts.sum(axis=1), counts, disagreement, pairs, agreeing)

    def pairwise(self) -> float | None:
        total = self.pairs.sum()
        return float(self.agreeing.sum() / total) if total else None

    def alpha(self) -> float | None:
        return self._alpha(np.ones(len(self.sizes)))

    def _alpha(self, weights: NDArray[np.float64]) -> float | None:
        n = float(weights @ self.sizes)
        by_category = weights @ self.counts
        expected = n**2 - float((by_category**2).sum())
        if expected <= 0:
            return None
        return 1 - (n - 1) * float(weights @ self.disagreement) / expected

    def alpha_interval(
        self, rng: np.random.Generator, resamples: int
    ) -> tuple[float | None, float | None]:
        clusters = len(self.sizes)
        if self.alpha() is None or clusters < 2:
            return None, None
        shares = np.full(clusters, 1 / clusters)
        drawn = (
            self._alpha(rng.multinomial(clusters, shares).astype(float)) for _ in range(resamples)
        )
        values = [value for value in drawn if value is not None]
        low, high = np.quantile(values, [0.025, 0.975])
        return float(low), float(high)
