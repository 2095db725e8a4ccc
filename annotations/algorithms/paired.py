"""The difference of two sides that answered the same prompts, with its interval.

The prompt is the unit: several answers to one prompt are not independent, and both sides answered
it, so what a prompt makes easy or hard falls out of the difference. Intervals are Student's over
prompts. For what is no mean over answers (the share of distinct n-grams) each prompt is left out
in turn and the spread of the results gives the error (the jackknife; Efron and Stein, The Annals
of Statistics 9, 1981). Without two prompts there is no interval.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import TypeVar

from annotations.algorithms.winrate import student_quantile

T = TypeVar("T")


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; `low` and `high` are None where nothing gives one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Paired:
    """One property of the child, of the parent, and by how much they differ."""

    child: Estimate
    parent: Estimate
    difference: Estimate
    prompts: int


def paired(
    child: Sequence[float], parent: Sequence[float], prompts: Sequence[Hashable]
) -> Paired | None:
    """Return the means of values that stand side by side, one for each answer to a prompt.

    A prompt counts once however many answers it has. None without any.

    >>> found = paired([3.0, 5.0, 4.0], [1.0, 1.0, 4.0], ["a", "a", "b"])
    >>> found.child.value, found.parent.value, found.difference.value, found.prompts
    (4.0, 2.5, 1.5, 2)
    """
    if not child:
        return None
    ours, theirs = _by_prompt(child, prompts), _by_prompt(parent, prompts)
    gaps = [mine - other for mine, other in zip(ours, theirs, strict=True)]
    return Paired(mean(ours), mean(theirs), mean(gaps), len(gaps))


def paired_whole(
    statistic: Callable[[Sequence[T]], float],
    child: Sequence[T],
    parent: Sequence[T],
    prompts: Sequence[Hashable],
) -> Paired | None:
    """Return a property of all answers together; its intervals are the jackknife's over prompts.

    >>> found = paired_whole(max, [3.0, 5.0], [1.0, 2.0], ["a", "b"])
    >>> found.child.value, found.difference.value
    (5.0, 3.0)
    """
    if not child:
        return None
    keys = list(dict.fromkeys(prompts))

    def difference(rows: Sequence[int]) -> float:
        return statistic([child[row] for row in rows]) - statistic([parent[row] for row in rows])

    def of(side: Sequence[T]) -> Callable[[Sequence[int]], float]:
        return lambda rows: statistic([side[row] for row in rows])

    ours, theirs, gap = (
        jackknife(one, prompts, keys) for one in (of(child), of(parent), difference)
    )
    return Paired(ours, theirs, gap, len(keys))


def mean(values: Sequence[float]) -> Estimate:
    """Return the mean of independent values with Student's interval.

    >>> mean([1.0])
    Estimate(value=1.0, low=None, high=None)
    """
    n, centre = len(values), fmean(values)
    if n < 2:
        return Estimate(centre, None, None)
    variance = sum((value - centre) ** 2 for value in values) / (n - 1)
    return _around(centre, sqrt(variance / n), n - 1)


def jackknife(
    statistic: Callable[[Sequence[int]], float],
    prompts: Sequence[Hashable],
    keys: Sequence[Hashable],
) -> Estimate:
    """Return a statistic of all rows, with the interval that leaving out each prompt gives."""
    rows = range(len(prompts))
    value, n = statistic(rows), len(keys)
    if n < 2:
        return Estimate(value, None, None)
    without = [statistic([row for row in rows if prompts[row] != key]) for key in keys]
    centre = fmean(without)
    variance = (n - 1) / n * sum((one - centre) ** 2 for one in without)
    return _around(value, sqrt(variance), n - 1)


def _around(value: float, error: float, degrees: int) -> Estimate:
    reach = student_quantile(degrees) * error
    return Estimate(value, value - reach, value + reach)


def _by_prompt(values: Sequence[float], prompts: Sequence[Hashable]) -> list[float]:
    """Return the mean of each prompt, in the order in which they first come."""
    found: dict[Hashable, list[float]] = {}
    for value, prompt in zip(values, prompts, strict=True):
        found.setdefault(prompt, []).append(value)
    return [fmean(group) for group in found.values()]
