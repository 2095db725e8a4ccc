"""Which earlier comparisons a change of the guidelines may turn round, and what asking again found.

The score of a comparison is (2 · near + divided + close) / 4, between 0 and 1:

- near: how much its words have in common with the clause or case, of those that changed, that it is
  nearest to; the cosine of the sets of words, each weighted by how rare it is (idf);
- divided: 1 if people who judged it did not choose the same, else 0;
- close: how little those who judged it found between the answers; 1 for a tie, 0 for
  "significantly better".

It ranks, it predicts no probability. Whether it ranks well is what the control says.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CLOSENESS = {"significantly": 0.0, "better": 1 / 3, "slightly": 2 / 3, "negligibly": 1.0}
UNSTATED = 0.5
"""How close it was where an import did not say how strongly somebody chose."""
USEFUL = 0.35
"""What scores less is hardly nearer to what changed than the next one: our rule of thumb."""
CONTROL_SHARE, LEAST_CONTROL = 0.1, 5
"""Of those chosen, so many others are drawn at random; fewer than five say nothing."""
Z = 1.959964
"""For 95 %."""


@dataclass(frozen=True)
class Judged:
    """A comparison that people judged by an older version."""

    item: int
    text: str
    """Prompt and answers."""
    outcomes: tuple[str, ...]
    """What each person chose: the id of a completion, `tie` or `both_bad`."""
    strengths: tuple[str, ...]


@dataclass(frozen=True)
class Scored:
    """How likely a comparison is thought to come out otherwise, and why."""

    item: int
    near: float
    divided: bool
    close: float

    @property
    def score(self) -> float:
        return (2 * self.near + self.divided + self.close) / 4


@dataclass(frozen=True)
class Share:
    """So many of so many, with the Wilson interval; the whole range where there are none."""

    count: int
    n: int

    @property
    def value(self) -> float | None:
        return self.count / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval.

        >>> [round(bound, 3) for bound in Share(3, 10).interval]
        [0.108, 0.603]
        """
        if not self.n:
            return 0.0, 1.0
        share = self.count / self.n
        middle = (share + Z * Z / (2 * self.n)) / (1 + Z * Z / self.n)
        half = (
            Z
            / (1 + Z * Z / self.n)
            * math.sqrt(share * (1 - share) / self.n + Z * Z / (4 * self.n * self.n))
        )
        low = middle - half if self.count else 0.0
        return low, middle + half if self.count < self.n else 1.0


def score(judged: Sequence[Judged], changed: Sequence[str]) -> list[Scored]:
    """Return the comparisons with their scores, the highest first; of equal ones the oldest first.

    `changed` are the texts of clauses and cases. Without any, nothing is near.
    """
    words = [_words(one.text) for one in judged]
    frequency = Counter(word for of_one in words for word in of_one)
    weight = {
        word: math.log((1 + len(judged)) / (1 + count)) + 1 for word, count in frequency.items()
    }
    rare = math.log(1 + len(judged)) + 1
    targets = [_words(text) for text in changed]
    sizes = [_size(target, weight, rare) for target in targets]
    scored = []
    for one, of_one in zip(judged, words, strict=True):
        own = _size(of_one, weight, rare)
        near = max(
            (
                _size(of_one & target, weight, rare) ** 2 / (own * size)
                for target, size in zip(targets, sizes, strict=True)
                if own and size
            ),
            default=0.0,
        )
        scored.append(Scored(one.item, near, len(set(one.outcomes)) > 1, _close(one)))
    return sorted(scored, key=lambda one: (-one.score, one.item))


def choose(
    scored: Sequence[Scored], count: int, rng: random.Random
) -> tuple[list[Scored], list[Scored]]:
    """Return the `count` highest and the control, drawn at random from the others.

    >>> some = [Scored(n, n / 100, False, 0) for n in range(100, 0, -1)]
    >>> chosen, control = choose(some, 80, random.Random(1))
    >>> len(chosen), len(control), min(one.item for one in chosen)
    (80, 8, 21)
    """
    chosen, others = list(scored[:count]), list(scored[count:])
    wanted = max(LEAST_CONTROL, math.ceil(CONTROL_SHARE * len(chosen)))
    return chosen, rng.sample(others, min(wanted, len(others)))


def useful(scored: Sequence[Scored]) -> int:
    """Return how many score enough to be worth asking."""
    return sum(one.score >= USEFUL for one in scored)


def difference(first: Share, second: Share) -> tuple[float, float, float] | None:
    """Return the difference of two shares with its 95 % interval (Newcombe 1998, method 10).

    None where either has nothing to be a share of. Newcombe's example, 56 of 70 against 48 of 80:

    >>> [round(value, 4) for value in difference(Share(56, 70), Share(48, 80))]
    [0.2, 0.0524, 0.3339]
    """
    if first.value is None or second.value is None:
        return None
    gap = first.value - second.value
    (low, high), (other_low, other_high) = first.interval, second.interval
    below = math.hypot(first.value - low, other_high - second.value)
    above = math.hypot(high - first.value, second.value - other_low)
    return gap, gap - below, gap + above


def _close(one: Judged) -> float:
    values = [
        1.0 if outcome in ("tie", "both_bad") else CLOSENESS.get(strength, UNSTATED)
        for outcome, strength in zip(one.outcomes, one.strengths, strict=True)
    ]
    return sum(values) / len(values) if values else UNSTATED


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _size(words: set[str], weight: Mapping[str, float], rare: float) -> float:
    return math.sqrt(sum(weight.get(word, rare) ** 2 for word in words))
