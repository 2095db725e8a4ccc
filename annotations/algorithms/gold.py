"""Whether an answer is the known one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotations.algorithms.rankings import outcomes_from_ranking

TURNED = {"left": "right", "right": "left"}

FROM_POINTS = 6
"""From so many points on, a scale may be missed by one: nobody tells 5 of 7 from 6 for certain."""


def compared_right(known: Mapping[str, Any], left: int, outcome: str) -> bool:
    """Return whether a comparison says what is known. How much better is not asked.

    >>> known = {"left": 7, "right": 9, "outcome": "left", "strength": "better"}
    >>> compared_right(known, 7, "left"), compared_right(known, 9, "left")
    (True, False)
    """
    expected = str(known["outcome"])
    return outcome == (expected if left == known["left"] else TURNED.get(expected, expected))


def ranked_right(known: Mapping[str, Any], tiers: Sequence[Sequence[int]]) -> bool:
    """Return whether a ranking turns no pair around that is known, and says most of them.

    A pair that is known to differ and was tied is missed; one that is known to be tied is not
    asked. So to tie everything is wrong.

    >>> known = {"tiers": [[1], [2], [3]]}
    >>> ranked_right(known, [[1], [2, 3]]), ranked_right(known, [[2], [1], [3]])
    (True, False)
    >>> ranked_right(known, [[1, 2, 3]])
    False
    """
    pairs = _decided_pairs(known, tiers)
    said = [given == label for label, given in pairs]
    turned = any(given not in (label, "tie") for label, given in pairs)
    return not turned and 2 * sum(said) > len(said)


def share_ranked_right(known: Mapping[str, Any], tiers: Sequence[Sequence[int]]) -> float:
    """Return the share of the pairs known to differ that a ranking orders alike.

    Ties are as in `ranked_right`: a pair that is known to differ and was tied is missed, one that
    is known to be tied is not asked. All is right where everything is known to be tied.

    >>> known = {"tiers": [[1], [2], [3, 4]]}
    >>> share_ranked_right(known, [[1], [2], [4], [3]]), share_ranked_right(known, [[1, 2, 3, 4]])
    (1.0, 0.0)
    >>> share_ranked_right(known, [[2], [1], [3, 4]])
    0.8
    >>> share_ranked_right({"tiers": [[1, 2]]}, [[1], [2]])
    1.0
    """
    right = [given == label for label, given in _decided_pairs(known, tiers)]
    return sum(right) / len(right) if right else 1.0


def _decided_pairs(
    known: Mapping[str, Any], tiers: Sequence[Sequence[int]]
) -> list[tuple[str, str | None]]:
    """Return what is known and what was said of each pair that is known to differ."""
    given = {(a, b): label for a, b, label in outcomes_from_ranking(tiers)}
    return [
        (label, given.get((a, b)))
        for a, b, label in outcomes_from_ranking(known["tiers"])
        if label != "tie"
    ]


RATED_RIGHT = 0.75
"""The share of its points that makes a rating right: as much as a test asks for by default."""


@dataclass(frozen=True)
class RatedPoint:
    """One question about one completion: what is known, what was said, whether that is alike."""

    completion: str
    question: str
    known: int
    given: int | None
    is_right: bool


Points = Mapping[str, Mapping[str, int]]
"""Completion → name of the question → point of its scale, or 1 and 0 for a flag."""


def rated_points(
    known: Points, given: Points, questions: Sequence[Mapping[str, Any]]
) -> Iterator[RatedPoint]:
    """Yield each question that a known rating asks, in the order of completions and questions.

    A point of a scale is right if it is the known one, or next to it on a scale of `FROM_POINTS`
    points or more; no answer is wrong, and where none is known nothing is asked. A flag is asked
    where it is known to hold or was raised: else never raising one would nearly always be right.
    """
    for completion, points in known.items():
        said = given.get(completion, {})
        for question in questions:
            name = question["name"]
            if question["form"] == "flag":
                holds, raised = points.get(name, 0), said.get(name, 0)
                if holds or raised:
                    yield RatedPoint(completion, name, holds, raised, holds == raised)
            elif name in points:
                off = abs(said[name] - points[name]) if name in said else None
                most = 1 if question["points"] >= FROM_POINTS else 0
                is_right = off is not None and off <= most
                yield RatedPoint(completion, name, points[name], said.get(name), is_right)


def share_rated_right(
    known: Points, given: Points, questions: Sequence[Mapping[str, Any]]
) -> float:
    """Return the share of what a known rating asks that is right; all where it asks nothing.

    >>> quality = {"name": "quality", "form": "scale", "points": 7}
    >>> scheme = [quality, {"name": "rude", "form": "flag"}]
    >>> share_rated_right({"1": {"quality": 5, "rude": 0}}, {"1": {"quality": 6}}, scheme)
    1.0
    >>> share_rated_right({"1": {"quality": 5, "rude": 1}}, {"1": {"quality": 4}}, scheme)
    0.5
    """
    right = [point.is_right for point in rated_points(known, given, questions)]
    return sum(right) / len(right) if right else 1.0


def rated_right(known: Points, given: Points, questions: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether three quarters of what a known rating asks are right.

    Not all of it: two people who know their work seldom give the same ten points. Who gives every
    completion the middle of a scale of seven has three points of seven right, and so is wrong.

    >>> scheme = [{"name": name, "form": "scale", "points": 7} for name in "abcd"]
    >>> known = {"1": {"a": 5, "b": 7, "c": 1, "d": 4}}
    >>> rated_right(known, {"1": {"a": 6, "b": 7, "c": 2, "d": 1}}, scheme)
    True
    >>> rated_right(known, {"1": {"a": 4, "b": 4, "c": 4, "d": 4}}, scheme)
    False
    """
    return share_rated_right(known, given, questions) >= RATED_RIGHT
