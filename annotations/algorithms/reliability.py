"""Named statistics of agreement over many units at once, each with a bootstrap interval.

A unit is one thing that several people judged with one of K labels. Whole items are drawn again
for an interval: a unit belongs to an item (its own, unless the pairs of a ranking share one). All
statistics are functions of sums over items, and most items look alike: so items that were given the
same labels are counted once, and a resample is one multinomial draw over the few kinds of items
that there are. A million items cost as much as a thousand, but for finding those that are alike.

- *pairwise*: the share of pairs of people on one unit who said the same.
- *Cohen's kappa* (1960): two people, chance from what each of them says how often.
- *Fleiss' kappa* (1971): several people, chance from what all of them say how often. Where units
  have different numbers of people it is as Gwet's handbook (2014) and irrCAC have it.
- *Krippendorff's alpha* ("Computing Krippendorff's Alpha-Reliability", 2011): any number of people,
  labels without order, in order, or numbers; exact for small samples.
- *Kendall's tau-b* (1945): two rankings with ties, over the pairs of what was ranked.

A statistic is None where it is not defined: nothing was judged twice, or everybody gave one and
the same label throughout, which leaves nothing for chance to disagree about. Where all resamples
give the same (all items are split alike, or nobody ever disagrees) they say nothing of what other
items would give: a share then has Wilson's interval over the items, a coefficient has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from annotations.algorithms.alike import alike
from annotations.algorithms.shares import wilson_interval

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]
"""From sums, (R, S), to one value for each row, (R,); NaN where it is not defined."""

RESAMPLES = 1000
FEWEST_RESAMPLES = 200
MOST_DRAWS = 2_000_000
"""Kinds of items times resamples; beyond it there are fewer resamples."""
ALIKE = 1e-9
"""Ends of an interval that differ by less are the same: every resample gave one value."""
TAU_DIGITS = 9
"""Means of the same taus in another order differ beyond them."""


@dataclass(frozen=True)
class Estimate:
    """A statistic, its 95 % interval, and over how many units it was taken."""

    value: float | None
    low: float | None
    high: float | None
    n: int


UNKNOWN = Estimate(None, None, None, 0)


@dataclass(frozen=True)
class Table:
    """What U units were given which of K labels, how often, and the item of each unit."""

    counts: Floats  # (U, K)
    item: Numbers  # (U,)
    _drawn: list[Floats] = field(default_factory=list, repr=False, compare=False)
    """The resamples, (R, M), once something was asked: all statistics are taken over the same."""

    @classmethod
    def of(
        cls, unit: Numbers, label: Numbers, categories: int, item: Numbers | None = None
    ) -> Table:
        """Return the table of judgements: the unit and the label of each, labels from 0.

        `item` is the item of each judgement's unit; without it every unit is its own.
        """
        if not len(unit):
            return cls(np.zeros((0, categories)), np.zeros(0, dtype=np.int64))
        _, first, row = np.unique(unit, return_index=True, return_inverse=True)
        size = len(first) * categories
        counts = np.bincount(row * categories + label, minlength=size).astype(float)
        items = np.arange(len(first)) if item is None else item[first]
        return cls(counts.reshape(-1, categories), items.astype(np.int64))

    @property
    def shared(self) -> int:
        """Return how many units were judged by two people or more."""
        return int((self.counts.sum(axis=1) >= 2).sum())

    def pairwise(self, rng: np.random.Generator) -> Estimate:
        """Return the share of pairs of people on one unit who said the same.

        >>> table = Table.of(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1]), 2)
        >>> table.pairwise(np.random.default_rng(0)).value
        0.5
        """
        counts = self._kinds.counts
        sizes = counts.sum(axis=1)
        agreeing = (counts * (counts - 1)).sum(axis=1)
        found = self._estimate(np.column_stack([agreeing, sizes * (sizes - 1)]), _ratio, rng)
        if found.value is None or found.low is not None or self._items_judged_twice < 2:
            return found
        low, high = wilson_interval(found.value, self._items_judged_twice)
        return Estimate(found.value, low, high, found.n)

    def fleiss(self, rng: np.random.Generator) -> Estimate:
        """Return Fleiss' kappa; units judged once count towards what chance would give."""
        counts = self._kinds.counts
        sizes = counts.sum(axis=1)
        twice = sizes >= 2
        pairs = np.where(twice, sizes * (sizes - 1), 1.0)
        agreeing = np.where(twice, (counts * (counts - 1)).sum(axis=1) / pairs, 0.0)
        shares = counts / np.maximum(sizes, 1)[:, None]
        sums = np.column_stack([agreeing, twice, sizes >= 1, shares])
        return self._estimate(sums, _fleiss, rng)

    def alpha(self, rng: np.random.Generator, metric: str = "nominal") -> Estimate:
        """Return Krippendorff's alpha for labels without order, in `ordinal` or `interval` order.

        Raises ValueError for another metric.
        """
        if metric not in DISTANCES:
            raise ValueError(f"Choose a metric of {', '.join(DISTANCES)}, not {metric!r}.")
        counts, categories = self._judged_twice._kinds.counts, self.counts.shape[1]
        both = counts[:, :, None] * counts[:, None, :]
        both -= counts[:, :, None] * np.eye(categories)
        coincidences = both / (counts.sum(axis=1) - 1)[:, None, None]
        sums = coincidences.reshape(-1, categories**2)
        return self._judged_twice._estimate(sums, lambda s: _alpha(s, metric), rng)

    @cached_property
    def _judged_twice(self) -> Table:
        twice = self.counts.sum(axis=1) >= 2
        return self if twice.all() else Table(self.counts[twice], self.item[twice])

    @property
    def _items_judged_twice(self) -> int:
        return len(np.unique(self._judged_twice.item))

    @cached_property
    def _kinds(self) -> _Kinds:
        return _kinds_of(self.counts, self.item)

    def _estimate(self, sums: Floats, statistic: Statistic, rng: np.random.Generator) -> Estimate:
        """Return a statistic of the sums of each unit of the kinds of items."""
        kinds = self._kinds
        columns = [np.bincount(kinds.place, column, len(kinds.times)) for column in sums.T]
        if not self._drawn:
            self._drawn.append(_draw(kinds.times, rng))
        drawn = self._drawn[0]
        return _bootstrap(np.column_stack(columns), kinds.times, drawn, statistic, n=self.shared)


@dataclass(frozen=True)
class _Kinds:
    """One item of each kind with its units, and how many items there are of the kind."""

    counts: Floats  # (V, K)
    place: Numbers  # (V,) among the kinds
    times: Floats  # (M,)


def _kinds_of(counts: Floats, item: Numbers) -> _Kinds:
    """Return what different items there are: those whose units were given the same labels are one.

    Units are told apart by their product with random numbers, as items are by `alike`.
    """
    weights = np.random.default_rng(0).normal(size=counts.shape[1])
    sort = np.unique((counts * weights).sum(axis=1), return_inverse=True)[1]
    items = alike(item, sort)
    return _Kinds(counts[items.rows], items.kind_of_row, items.times.astype(float))


def cohen(first: Numbers, second: Numbers, categories: int, rng: np.random.Generator) -> Estimate:
    """Return Cohen's kappa between two people who gave a label each to the same units.

    >>> a, b = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
    >>> cohen(a, b, 2, np.random.default_rng(0)).value
    0.5
    """
    cells, times = np.unique(first * categories + second, return_counts=True)
    sums = np.eye(categories**2)[cells]
    drawn = _draw(times.astype(float), rng)
    return _bootstrap(
        sums, times.astype(float), drawn, lambda s: _cohen(s, categories), n=len(first)
    )


def tau_b(
    item: Numbers, person: Numbers, pair: Numbers, sign: Numbers, rng: np.random.Generator
) -> Estimate:
    """Return Kendall's tau-b between the rankings of one item, averaged over people and items.

    A row says how a person ordered two completions of an item: 1 or -1, and 0 for a tie. With
    these signs tau-b of two rankings is their scalar product over the root of the product of the
    pairs that each of them did not tie. Two rankings one of which ties everything have none, and
    two that have no pair in common.
    """
    order = np.lexsort((person, pair, item))
    item, person, pair, sign = item[order], person[order], pair[order], sign[order]
    rankings, ranking = np.unique(_numbered(item, person), return_inverse=True)
    item_of = np.zeros(len(rankings), dtype=np.int64)
    item_of[ranking] = item
    untied = np.bincount(ranking, np.abs(sign), len(rankings))
    here, there = couples(_numbered(item, pair))
    both, which = np.unique(_numbered(ranking[here], ranking[there]), return_inverse=True)
    alike = np.bincount(which, sign[here] * sign[there], len(both))
    first, second = (np.zeros(len(both), dtype=np.int64) for _ in range(2))
    first[which], second[which] = ranking[here], ranking[there]
    lengths = np.sqrt(untied[first] * untied[second])
    defined = np.flatnonzero(lengths > 0)
    items, place = np.unique(item_of[first[defined]], return_inverse=True)
    taus = np.bincount(place, alike[defined] / lengths[defined], len(items)) / np.bincount(place)
    values, times = np.unique(taus.round(TAU_DIGITS), return_counts=True)
    sums = np.column_stack([values, np.ones(len(values))])
    drawn = _draw(times.astype(float), rng)
    return _bootstrap(sums, times.astype(float), drawn, _ratio, n=len(items))


def couples(unit: Numbers, most: int | None = None) -> tuple[Numbers, Numbers]:
    """Return the places of every two rows of one unit, of rows that are in the order of units.

    Where a unit has more than `most` rows, not all of them are held against each other.

    >>> couples(np.array([5, 5, 5, 8]))
    (array([0, 1, 0]), array([1, 2, 2]))
    """
    here, there = [np.arange(0)], [np.arange(0)]
    places, step = np.arange(len(unit)), 1
    while len(places) and (most is None or step < most):
        places = places[places + step < len(unit)]
        places = places[unit[places] == unit[places + step]]
        here.append(places)
        there.append(places + step)
        step += 1
    return np.concatenate(here), np.concatenate(there)


def ceiling(agreement: Estimate) -> Estimate:
    """Return how often a model that knows the majority is right on a single vote.

    Where two people agree with chance A and each is right with chance p, A = p² + (1 − p)², so
    p = (1 + √(2 A − 1)) / 2. Below one half nobody knows a majority.

    >>> round(ceiling(Estimate(0.726, None, None, 9)).value, 3)
    0.836
    """
    ends = (agreement.value, agreement.low, agreement.high)
    found = [None if end is None else (1 + sqrt(max(2 * end - 1, 0))) / 2 for end in ends]
    return Estimate(found[0], found[1], found[2], agreement.n)


def _numbered(first: Numbers, second: Numbers) -> Numbers:
    """Return one number for every two, the same for the same two."""
    wide = int(second.max(initial=0)) + 1
    numbers: Numbers = np.unique(first, return_inverse=True)[1] * wide + second
    return numbers


def _draw(times: Floats, rng: np.random.Generator) -> Floats:
    """Return how often each kind of items is drawn, (R, M), when as many items are drawn again."""
    items = int(times.sum())
    if items < 2:
        return np.zeros((0, len(times)))
    resamples = int(np.clip(MOST_DRAWS // len(times), FEWEST_RESAMPLES, RESAMPLES))
    return rng.multinomial(items, times / items, size=resamples).astype(float)


def _bootstrap(
    rows: Floats, times: Floats, drawn: Floats, statistic: Statistic, *, n: int
) -> Estimate:
    """Return a statistic of the summed rows, with the interval from drawing whole items again.

    A row is the sums of an item of each kind; with it stands how many items are of the kind.
    """
    if not len(rows):
        return UNKNOWN
    value = float(statistic(times[None, :] @ rows)[0])
    if np.isnan(value):
        return Estimate(None, None, None, n)
    values = statistic(drawn @ rows)
    values = values[~np.isnan(values)]
    if not len(values):
        return Estimate(value, None, None, n)
    low, high = np.quantile(values, [0.025, 0.975])
    if high - low < ALIKE:
        return Estimate(value, None, None, n)
    return Estimate(value, float(low), float(high), n)


def _ratio(sums: Floats) -> Floats:
    above, below = sums[:, 0], sums[:, 1]
    return np.divide(above, below, out=np.full(len(sums), np.nan), where=below > 0)


def _beyond_chance(observed: Floats, expected: Floats) -> Floats:
    room = 1 - expected
    out = np.full(len(observed), np.nan)
    return np.divide(observed - expected, room, out=out, where=room > 1e-12)


def _fleiss(sums: Floats) -> Floats:
    observed = _ratio(sums[:, :2])
    judged = np.maximum(sums[:, 2], 1)
    expected = ((sums[:, 3:] / judged[:, None]) ** 2).sum(axis=1)
    return _beyond_chance(observed, expected)


def _cohen(sums: Floats, categories: int) -> Floats:
    cells = sums.reshape(-1, categories, categories)
    total = np.maximum(cells.sum(axis=(1, 2)), 1)
    observed = np.trace(cells, axis1=1, axis2=2) / total
    expected = (cells.sum(axis=2) * cells.sum(axis=1)).sum(axis=1) / total**2
    return _beyond_chance(observed, expected)


def _alpha(sums: Floats, metric: str) -> Floats:
    categories = int(sqrt(sums.shape[1]))
    coincidences = sums.reshape(-1, categories, categories)
    given = coincidences.sum(axis=2)  # (R, K)
    labels = given.sum(axis=1)
    distance = DISTANCES[metric](given)
    seen = (coincidences * distance).sum(axis=(1, 2))
    by_chance = (given[:, :, None] * given[:, None, :] * distance).sum(axis=(1, 2))
    defined = by_chance > 0
    ratio = np.divide((labels - 1) * seen, by_chance, out=np.full(len(sums), np.nan), where=defined)
    return 1 - ratio


def _nominal(given: Floats) -> Floats:
    return 1 - np.eye(given.shape[1])[None, :, :]


def _ordinal(given: Floats) -> Floats:
    """Return the squared number of labels given between two of them, half of each included."""
    middle = np.cumsum(given, axis=1) - given / 2
    squared: Floats = (middle[:, :, None] - middle[:, None, :]) ** 2
    return squared


def _interval(given: Floats) -> Floats:
    values = np.arange(given.shape[1], dtype=float)
    squared: Floats = (values[:, None] - values[None, :])[None, :, :] ** 2
    return squared


DISTANCES: dict[str, Callable[[Floats], Floats]] = {
    "nominal": _nominal,
    "ordinal": _ordinal,
    "interval": _interval,
}
"""Squared distances between labels, (R or 1, K, K), from how often each was given, (R, K)."""
