"""Whether an answer is the known one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from annotations.algorithms.rankings import outcomes_from_ranking

TURNED = {"left": "right", "right": "left"}


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
    expected = {(a, b): label for a, b, label in outcomes_from_ranking(known["tiers"])}
    given = {(a, b): label for a, b, label in outcomes_from_ranking(tiers)}
    decided = {pair: label for pair, label in expected.items() if label != "tie"}
    said = [given.get(pair) == label for pair, label in decided.items()]
    turned = any(given.get(pair) not in (label, "tie") for pair, label in decided.items())
    return not turned and 2 * sum(said) > len(said)
