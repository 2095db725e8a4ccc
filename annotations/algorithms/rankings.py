"""From rankings to preference pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import TypeVar

T = TypeVar("T")


def pairs_from_ranking(ranking: Sequence[Sequence[T]]) -> Iterator[tuple[T, T]]:
    """Yield every (chosen, rejected) pair that a ranking implies.

    A ranking is a list of tiers, best first. Completions in one tier are tied and give no pair,
    so K completions with tie groups g give C(K, 2) - sum C(g, 2) pairs.

    >>> list(pairs_from_ranking([["a"], ["b", "c"]]))
    [('a', 'b'), ('a', 'c')]
    """
    for better, worse in combinations(ranking, 2):
        yield from product(better, worse)


def ends_of_ranking(ranking: Sequence[Sequence[T]]) -> tuple[list[T], list[T]]:
    """Return the first and the last tier: what a ranking says is good, and what is bad.

    Of what lies between nobody said either. Where everything is tied nothing was said at all.

    >>> ends_of_ranking([["a"], ["b", "c"], ["d"]])
    (['a'], ['d'])
    >>> ends_of_ranking([["a", "b"]])
    ([], [])
    """
    if len(ranking) < 2:
        return [], []
    return list(ranking[0]), list(ranking[-1])


def outcomes_from_ranking(ranking: Sequence[Sequence[int]]) -> Iterator[tuple[int, int, str]]:
    """Yield (first id, second id, "first", "second" or "tie") for every two completions.

    The lower id comes first, so that rankings by different people can be held side by side.

    >>> list(outcomes_from_ranking([[2], [1, 3]]))
    [(1, 2, 'second'), (1, 3, 'tie'), (2, 3, 'first')]
    """
    tiers = {completion: tier for tier, tied in enumerate(ranking) for completion in tied}
    for first, second in combinations(sorted(tiers), 2):
        if tiers[first] == tiers[second]:
            yield first, second, "tie"
        else:
            yield first, second, "first" if tiers[first] < tiers[second] else "second"
