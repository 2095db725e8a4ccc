"""Reviewing risky texts more often, and still knowing how good all of them are."""

from __future__ import annotations

from collections.abc import Iterable

from annotations.algorithms.paired import Estimate
from annotations.algorithms.shares import wilson_interval

NEW_UNTIL = 10
"""Texts that somebody has written before they are known."""
FASTEST_WRITING = 2.0
"""Words a second; a quick typist writes 80 words a minute, which is 1.3."""
LEAST_REVIEWED, MANY_REJECTED = 5, 0.3
FACTOR = 2
"""For each sign of risk, a text is drawn so many times as often."""


def review_chance(
    base_percent: int,
    *,
    written: int,
    words: int,
    seconds: float | None,
    reviewed: int,
    rejected: int,
) -> int:
    """Return the percentage with which a text is drawn for review.

    It never falls below the base rate, so that no text is safe, and doubles for each sign: its
    author is new, it was written faster than people type, many of the author's were rejected.

    >>> known = {"written": 50, "words": 17, "seconds": 60.0, "reviewed": 9, "rejected": 0}
    >>> review_chance(20, **known), review_chance(20, **known | {"written": 0, "seconds": 2.0})
    (20, 80)
    """
    signs = (
        written < NEW_UNTIL,
        seconds is not None and words > FASTEST_WRITING * seconds,
        reviewed >= LEAST_REVIEWED and rejected / max(reviewed, 1) >= MANY_REJECTED,
    )
    return min(100, base_percent * FACTOR ** sum(signs))


def share_of_all(found: Iterable[tuple[bool, float, int]]) -> Estimate | None:
    """Return the share of all texts that a review would reject, from those that were drawn.

    Given is whether texts were rejected, with which chance they were drawn, and how many they are.

    Each counts as many as it stands for, one over the probability with which it was drawn (Hájek's
    ratio estimator), so favouring the risky does not make everybody look worse. The interval is
    Wilson's for as many texts as would tell as much if all were drawn alike (Kish 1965).

    >>> share = share_of_all([(True, 1.0, 1), (False, 0.5, 2)])
    >>> share.value, round(share.low, 2), round(share.high, 2)
    (0.2, 0.02, 0.73)
    """
    weights = [(was, 1 / chance, times) for was, chance, times in found if chance > 0]
    total = sum(weight * times for _, weight, times in weights)
    if not total:
        return None
    share = sum(weight * times for was, weight, times in weights if was) / total
    alike = total**2 / sum(weight**2 * times for _, weight, times in weights)
    return Estimate(share, *wilson_interval(share, alike))
