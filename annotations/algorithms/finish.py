"""When work will be done, from how much of it was done on past days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
SEED = 20
MOST_DAYS = 3650
"""Ten years: what takes longer is said to take so long."""


@dataclass(frozen=True)
class Finish:
    """In how many days work is done, with a 95 % interval, at how much a day."""

    days: float
    low: float
    high: float
    a_day: float
    seen: int
    """Past days that this is reckoned from. Of one alone the interval says nothing."""


def finish(remaining: int, done: Sequence[int]) -> Finish | None:
    """Return when the remaining work is done if the coming days are like the past ones.

    `done` has what was done on each past day, days without work included. Whole days are drawn
    again for the interval. None if nothing was done, for then nothing can be said.

    >>> finish(30, [10, 10, 10])
    Finish(days=3.0, low=3.0, high=3.0, a_day=10.0, seen=3)
    >>> finish(0, [10]).days, finish(5, [0, 0])
    (0.0, None)
    """
    days = np.array(done, dtype=float)
    if not days.sum():
        return None
    rng = np.random.default_rng(SEED)
    means = rng.choice(days, size=(RESAMPLES, len(days))).mean(axis=1)  # (R,)
    slow, fast = np.quantile(means, [0.025, 0.975])
    mean = float(days.mean())
    return Finish(
        days=_days(remaining, mean),
        low=_days(remaining, float(fast)),
        high=_days(remaining, float(slow)),
        a_day=mean,
        seen=len(days),
    )


def _days(remaining: int, a_day: float) -> float:
    return remaining / max(a_day, remaining / MOST_DAYS) if remaining else 0.0
