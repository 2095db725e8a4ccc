"""The win rate of one side over another, with an interval that a promotion may rest on.

A win counts 1, a tie one half, a loss 0. Judgements on one prompt are not independent, so the
prompt is the cluster: the variance is taken between prompts (the ratio estimator of cluster
sampling). Such an interval alone has no width when every judgement is the same, and covers too
little near 0 and 1. Two wins and two losses are therefore added before it is computed, as Agresti
and Coull do (The American Statistician 52, 1998), each as a prompt of its own, and the quantile is
Student's with one degree of freedom less than there are prompts. The rate that is reported stays
the observed one.

The number of judgements has to be decided beforehand: looking again after every judgement and
stopping at the first good interval is not covered.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt

Z_95 = 1.959963984540054
PSEUDO_SCORES = (1.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True)
class WinRate:
    """Counts of judgements, the rate, and its 95 % interval."""

    n: int
    wins: int
    ties: int
    losses: int
    rate: float
    low: float
    high: float

    @property
    def percent(self) -> int:
        return round(100 * self.rate)

    @property
    def interval(self) -> str:
        return f"{100 * self.low:.0f} to {100 * self.high:.0f} %"


def win_rate(outcomes: Sequence[tuple[Hashable, float]]) -> WinRate:
    """Return the win rate over (cluster, score) pairs with its 95 % interval.

    A score of 1 is a win, of 0 a loss, anything between a tie. Without outcomes nothing is known:
    the rate is one half and the interval runs from 0 to 1.

    >>> result = win_rate([("a", 1.0), ("b", 1.0), ("c", 0.5), ("d", 0.0)])
    >>> result.rate, result.wins, result.ties, result.losses
    (0.625, 2, 1, 1)
    """
    scores = [score for _, score in outcomes]
    if any(not 0 <= score <= 1 for score in scores):
        raise ValueError("A score lies between 0 (loss) and 1 (win).")
    wins, losses = sum(score == 1 for score in scores), sum(score == 0 for score in scores)
    n = len(scores)
    rate = sum(scores) / n if n else 0.5
    low, high = _interval(outcomes) if n else (0.0, 1.0)
    return WinRate(n, wins, n - wins - losses, losses, rate, min(low, rate), max(high, rate))


def _interval(outcomes: Sequence[tuple[Hashable, float]]) -> tuple[float, float]:
    clusters: dict[Hashable, list[float]] = {}
    for cluster, score in outcomes:
        clusters.setdefault(cluster, []).append(score)
    groups = [*clusters.values(), *([score] for score in PSEUDO_SCORES)]
    n = sum(len(group) for group in groups)
    centre = sum(sum(group) for group in groups) / n
    residuals = [sum(group) - len(group) * centre for group in groups]
    correction = len(groups) / (len(groups) - 1)
    error = sqrt(correction * sum(residual**2 for residual in residuals)) / n
    reach = student_quantile(len(groups) - 1) * error
    return max(0.0, centre - reach), min(1.0, centre + reach)


def student_quantile(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t, by its expansion in 1/degrees.

    >>> round(student_quantile(10), 2), round(student_quantile(100), 3)
    (2.23, 1.984)
    """
    z = Z_95
    return (
        z
        + (z**3 + z) / (4 * degrees)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    )
