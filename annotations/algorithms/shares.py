"""Shares of counts, with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from annotations.algorithms.winrate import Z_95


@dataclass(frozen=True)
class Share:
    """So many of n, as a share with its 95 % interval. Of nothing, everything is possible."""

    count: int
    n: int
    low: float
    high: float

    @property
    def share(self) -> float | None:
        return self.count / self.n if self.n else None

    @property
    def percent(self) -> int | None:
        return round(100 * self.count / self.n) if self.n else None

    @property
    def interval(self) -> str:
        return f"{100 * self.low:.0f} to {100 * self.high:.0f} %"

    def excludes(self, value: float) -> bool:
        """Return whether a value lies outside of the interval."""
        return not self.low <= value <= self.high


def wilson(count: int, n: int) -> Share:
    """Return a share with the interval of Wilson (1927), for counts that are independent.

    >>> share = wilson(81, 263)
    >>> round(share.low, 4), round(share.high, 4)
    (0.2553, 0.3662)
    """
    if not 0 <= count <= n:
        raise ValueError("A part is between nothing and the whole.")
    if not n:
        return Share(0, 0, 0.0, 1.0)
    return Share(count, n, *wilson_interval(count / n, n))


def wilson_interval(p: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval of a share `p` of `n`, which need not be whole.

    >>> low, high = wilson_interval(0.5, 7.5)
    >>> round(low, 3), round(high, 3)
    (0.209, 0.791)
    """
    z = Z_95
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, min(centre - reach, p)), min(1.0, max(centre + reach, p))
