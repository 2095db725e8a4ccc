"""Signs that somebody does not look at what they judge, each with a p-value for chance.

A detector asks how probable what was seen would be for somebody honest. Below its least number of
answers, or where the effect is too small to matter however sure it is, its p-value is 1. Over all
people and detectors `flags` keeps the expected share of false ones below a rate (Benjamini and
Hochberg 1995). A flag is a reason to look, never a verdict.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import combinations
from math import ceil
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.algorithms.review_sampling import FASTEST_WRITING
from annotations.algorithms.tails import (
    binomial_at_least,
    binomial_at_most,
    chi_squared_at_most,
    fisher,
    share_below,
)

FLAG_RATE = 0.01
"""Of the flags, how many may be false in expectation."""
PAIR_RATE = 0.05
"""The same of the pairs of people who may copy."""

LEAST_SIDES, LEAST_SHARE_OF_A_SIDE, MOST_CHANCE_OF_A_SIDE = 30, 0.65, 0.001
LEAST_GOLD, HONEST_ON_GOLD = 6, 0.7
LEAST_SHARED = 20
"""Answers that others gave, too, before agreement with them says something."""
LEAST_TIMES = 20
FASTEST_SECONDS, WORDS_PER_SECOND = 3.0, 15.0
FAST_SHARE, HONEST_FAST_SHARE = 0.3, 0.05
LEAST_TEXTS = 10
REGULAR_CV, HONEST_SPREAD = 0.15, 0.35
"""A coefficient of variation; and the least standard deviation of an honest person's log times."""
LEAST_LENGTHS, LONGER_SHARE = 30, 0.8
SLOW_QUANTILE, SLOW_SHARE = 0.9, 0.5
SKIP_SHARE = 0.5
LEAST_COMMON = 20
LEAST_AGAINST = 2
"""Others who agree among themselves, before an answer goes against a majority."""
LEAST_COMMON_GOLD, LEAST_WRONG, LEAST_SAME, LEAST_OTHERS = 12, 4, 3, 3
"""Gold items that both answered; those that each has wrong, and in the same way; and the others
who answered one, before it says something."""
MOST_ALIKE = 0.95

_Minority = tuple[Hashable, int, int]
"""Of which sort an item is, how many others judged it, and how many gave the same answer."""


@dataclass(frozen=True)
class Signal:
    """What one detector says about one person (or about two, who may copy)."""

    people: tuple[int, ...]
    detector: str
    p: float
    n: int
    evidence: str


class Wrong(NamedTuple):
    """A wrong answer to a gold item."""

    answer: str
    sort: str
    """What such answers have in common over all items, such as a tie or the longer of two."""


def one_sided(
    person: int, sides: Sequence[int], names: tuple[str, str] = ("the left side", "the right side")
) -> Signal:
    """Test whether somebody chooses the left (1) or the right (-1) side whatever is there.

    The sides are shuffled for everybody, so honest choices are a fair coin. Ties (0) say nothing.
    `names` are words for the two.

    >>> one_sided(7, [1] * 40).evidence
    'Chose the left side in 40 of 40 answers, 40 times in a row.'
    """
    chosen = [side for side in sides if side]
    n, left = len(chosen), sum(side > 0 for side in chosen)
    more, name = max(left, n - left), names[0] if 2 * left >= n else names[1]
    p = min(1.0, 2 * binomial_at_least(more, n, 0.5)) if n else 1.0
    is_sign = n >= LEAST_SIDES and more / n >= LEAST_SHARE_OF_A_SIDE and p < MOST_CHANCE_OF_A_SIDE
    words = f"Chose {name} in {more} of {n} answers, {_longest_run(chosen)} times in a row."
    return Signal((person,), "one_sided", p if is_sign else 1.0, n, words)


def random_clicks(
    person: int,
    gold: Sequence[bool],
    agreed: float,
    shared: int,
    others_agree: float,
    *,
    honest: float = HONEST_ON_GOLD,
) -> Signal:
    """Test whether somebody is right on gold and agrees with others no more than by chance.

    `agreed` of `shared` answers were those of another person; `others_agree` is how often others
    agree among themselves. An answer that is partly the same counts in part: sums of shares lie
    closer to their mean than counts, so the binomial tail is the cautious one. `honest` is how
    often somebody honest is right on this gold, over all of it. The two are combined by Fisher's
    method.
    """
    right, n = sum(gold), len(gold)
    upper = share_below(right, n)
    on_gold = binomial_at_most(right, n, honest) if n else 1.0
    with_others = binomial_at_most(ceil(agreed), shared, others_agree) if shared else 1.0
    p = fisher(on_gold, with_others)
    enough = n >= LEAST_GOLD and shared >= LEAST_SHARED
    is_sign = enough and right / n < honest and agreed / shared < others_agree
    words = (
        f"Right on {right} of {n} gold items (95 % sure to be below {upper:.0%}); agreed with "
        f"others in {agreed:.3g} of {shared} answers, where others agree in {others_agree:.0%}."
    )
    return Signal((person,), "random", p if is_sign else 1.0, n, words)


def too_fast(person: int, seconds: Sequence[float], words: Sequence[int]) -> Signal:
    """Test whether somebody answers sooner than the texts can be read.

    `seconds` run from the hand-out to the submit, by the server's clock.

    >>> too_fast(7, [1.0] * 20, [40] * 20).evidence
    'Answered 20 of 20 items sooner than their texts can be read (15 words a second, 3 s at least).'
    """
    n = len(seconds)
    needed = [max(FASTEST_SECONDS, count / WORDS_PER_SECOND) for count in words]
    fast = sum(took < least for took, least in zip(seconds, needed, strict=True))
    p = binomial_at_least(fast, n, HONEST_FAST_SHARE)
    is_sign = n >= LEAST_TIMES and fast / n >= FAST_SHARE
    said = (
        f"Answered {fast} of {n} items sooner than their texts can be read "
        f"({WORDS_PER_SECOND:g} words a second, {FASTEST_SECONDS:g} s at least)."
    )
    return Signal((person,), "too_fast", p if is_sign else 1.0, n, said)


def untyped(person: int, seconds: Sequence[float], words: Sequence[int]) -> Signal:
    """Test whether somebody hands in texts sooner than anybody types that many words.

    `seconds` run from the hand-out to the submit, so writing elsewhere and pasting takes them, too.

    >>> untyped(7, [20.0] * 10, [60] * 10).evidence
    'Handed in 10 of 10 texts sooner than they can be typed (2 words a second).'
    """
    n = len(seconds)
    fast = sum(took * FASTEST_WRITING < count for took, count in zip(seconds, words, strict=True))
    p = binomial_at_least(fast, n, HONEST_FAST_SHARE)
    is_sign = n >= LEAST_TEXTS and fast / n >= FAST_SHARE
    said = (
        f"Handed in {fast} of {n} texts sooner than they can be typed "
        f"({FASTEST_WRITING:g} words a second)."
    )
    return Signal((person,), "untyped", p if is_sign else 1.0, n, said)


def clockwork(person: int, seconds: Sequence[float]) -> Signal:
    """Test whether somebody's times are more regular than a person's.

    People's times are about log-normal. The variance of the logarithms is held against the least
    that people have, by the chi-squared distribution.
    """
    times = np.array([took for took in seconds if took > 0])
    n = len(times)
    cv = float(times.std(ddof=1) / times.mean()) if n > 1 else 1.0
    p = 1.0
    if n >= LEAST_TIMES and cv < REGULAR_CV:
        spread = (n - 1) * float(np.log(times).var(ddof=1)) / HONEST_SPREAD**2
        p = chi_squared_at_most(spread, n - 1)
    mean = float(times.mean()) if n else 0.0
    words = f"{n} answers took {mean:.1f} s each and varied by {cv:.0%} only."
    return Signal((person,), "clockwork", p, n, words)


def length_lover(person: int, longer: Sequence[bool], others_share: float) -> Signal:
    """Test whether somebody chooses the longer of two much more often than others do."""
    n, chose = len(longer), sum(longer)
    p = binomial_at_least(chose, n, min(max(others_share, 0.05), 0.95))
    is_sign = n >= LEAST_LENGTHS and chose / n >= LONGER_SHARE
    words = f"Chose the longer text in {chose} of {n} answers; others do in {others_share:.0%}."
    return Signal((person,), "length", p if is_sign else 1.0, n, words)


def slow_mark(others: Sequence[float] | NDArray[np.float64]) -> float | None:
    """Return the time that nine in ten answers of others stay below; None of too few others.

    >>> slow_mark([20.0] * 30), slow_mark([20.0])
    (20.0, None)
    """
    return float(np.quantile(others, SLOW_QUANTILE)) if len(others) >= LEAST_TIMES else None


def idle(person: int, active: Sequence[float], marks: Sequence[float]) -> Signal:
    """Test whether somebody's paid time on an item is mostly beyond that of nine in ten answers.

    `marks` are what nine in ten answers of others to such items stay below.
    """
    n, slow = len(active), sum(took > mark for took, mark in zip(active, marks, strict=True))
    p = binomial_at_least(slow, n, 1 - SLOW_QUANTILE)
    is_sign = n >= LEAST_TIMES and slow / n >= SLOW_SHARE
    words = (
        f"Was active longer than nine in ten answers of others take on {slow} of {n} items "
        f"({median(active or [0]):.0f} s in the middle, against {median(marks or [0]):.0f} s)."
    )
    return Signal((person,), "idle", p if is_sign else 1.0, n, words)


def picky(person: int, skipped: int, handed_out: int, others_share: float) -> Signal:
    """Test whether somebody skips until something easy comes, much more often than others."""
    p = binomial_at_least(skipped, handed_out, max(others_share, 0.01))
    is_sign = handed_out >= LEAST_TIMES and skipped / handed_out >= SKIP_SHARE
    words = f"Skipped {skipped} of {handed_out} items; others skip {others_share:.0%}."
    return Signal((person,), "picky", p if is_sign else 1.0, handed_out, words)


def copiers(
    votes: Mapping[int, Mapping[int, Hashable]], sorts: Mapping[int, Hashable] | None = None
) -> list[Signal]:
    """Test for every two people whether they share answers that hardly anybody else gives.

    `votes` has each item's answers by person, `sorts` what is asked about it. To be right together
    says nothing, so only answers count that go against at least two others who agree: items that
    four or more people judged. How often the second of any two joins the first in such a minority,
    by what is asked and the number of the others and of those among them who say the same, is
    counted over everybody: that is the chance to hold two against. The tail of the sum is exact
    (Poisson binomial).
    """
    joined: dict[_Minority, list[bool]] = defaultdict(list)
    seen: dict[tuple[int, int], list[tuple[_Minority, bool]]] = defaultdict(list)
    common: Counter[tuple[int, int]] = Counter()
    for item, said in votes.items():
        sort = sorts[item] if sorts else None
        for pair in combinations(sorted(said), 2):
            common[pair] += 1
            rest = Counter(answer for who, answer in said.items() if who not in pair)
            most = max(rest.values(), default=0)
            first, second = (said[who] for who in pair)
            for answer in {first, second}:
                if most >= LEAST_AGAINST and rest[answer] < most:
                    minority = (sort, rest.total(), rest[answer])
                    joined[minority].append(first == second)
                    seen[pair].append((minority, first == second))
    rates = {one: (sum(joins) + 1) / (len(joins) + 2) for one, joins in joined.items()}
    return [
        _pair(pair, [(rates[one], joins) for one, joins in seen[pair]], common[pair])
        for pair in sorted(common)
        if common[pair] >= LEAST_COMMON
    ]


def _pair(pair: tuple[int, int], seen: Sequence[tuple[float, bool]], common: int) -> Signal:
    chances, same = [chance for chance, _ in seen], sum(joins for _, joins in seen)
    p, expected = tail_of_sum(chances, same), sum(chances)
    words = (
        f"Of {common} common items, {len(seen)} answers go against others who agree; {same} of "
        f"them are the same from both, where chance gives {expected:.1f}."
    )
    return Signal(pair, "copier", p if same > expected else 1.0, common, words)


def gold_copiers(wrong: Mapping[int, Mapping[int, Wrong | None]]) -> list[Signal]:
    """Test for every two people whether they give the same wrong answers to gold items.

    `wrong` has for each gold item what people answered, and None where they were right. Of what one
    of two got wrong, the other's same answers are counted, and the other way round; the larger
    p-value holds. That somebody independent gives a wrong answer has the chance that others have on
    the item, times how much more often this person is wrong than they are; or, where that is more,
    how often this person gives wrong answers of this sort (who ties everything shares wrong ties
    with everybody who does). Items that fewer than three others answered say nothing, nor do two
    people of whom one has hardly anything wrong: they are not tested, and cost the others nothing.
    """
    crowd = _GoldCrowd.of(wrong)
    careless = [who for who, mistakes in crowd.mistakes.items() if len(mistakes) >= LEAST_WRONG]
    tested = (crowd.signal(pair) for pair in combinations(sorted(careless), 2))
    return [signal for signal in tested if signal is not None]


@dataclass(frozen=True)
class _GoldCrowd:
    """Answers to gold items, counted by item and by person."""

    asked: Mapping[int, Set[int]]
    """Which items a person answered that enough people answered to say something."""
    mistakes: Mapping[int, Mapping[int, Wrong]]
    """What a person has wrong of these."""
    counts: Mapping[int, Counter[Wrong | None]]
    """How often each answer to an item was given."""
    excess: Mapping[int, float]
    """How much more often a person is wrong than others are on the same items; at least 1."""
    habits: Mapping[int, Mapping[str, float]]
    """How often a person gives a wrong answer of a sort, where somebody gave one."""

    @classmethod
    def of(cls, wrong: Mapping[int, Mapping[int, Wrong | None]]) -> _GoldCrowd:
        by_person: dict[int, dict[int, Wrong | None]] = defaultdict(dict)
        for item, said in wrong.items():
            if len(said) >= LEAST_OTHERS + 2:
                for who, answer in said.items():
                    by_person[who][item] = answer
        counts = {item: Counter(said.values()) for item, said in wrong.items()}
        sorts = {item: {one.sort for one in said if one} for item, said in counts.items()}
        excess: dict[int, float] = {}
        habits: dict[int, dict[str, float]] = {}
        for who, given in by_person.items():
            made = Counter(answer.sort for answer in given.values() if answer)
            expected = sum(_share_wrong(counts[item], answer) for item, answer in given.items())
            excess[who] = max(1.0, (made.total() + 1) / (expected + 1))
            met = Counter(sort for item in given for sort in sorts[item])
            habits[who] = {sort: (made[sort] + 1) / (met[sort] + 2) for sort in met}
        return cls(
            asked={who: set(given) for who, given in by_person.items()},
            mistakes={
                who: {item: answer for item, answer in given.items() if answer}
                for who, given in by_person.items()
            },
            counts=counts,
            excess=excess,
            habits=habits,
        )

    def signal(self, pair: tuple[int, int]) -> Signal | None:
        """Return what two people's answers say, or None where they cannot say anything."""
        common = self.asked[pair[0]] & self.asked[pair[1]]
        one, other = (self._within(common, who) for who in pair)
        if len(common) < LEAST_COMMON_GOLD or min(len(one), len(other)) < LEAST_WRONG:
            return None
        same = sum(other.get(item) == answer for item, answer in one.items())
        if same < LEAST_SAME:
            return Signal(pair, "copier_on_gold", 1.0, len(common), "")
        ways = self._chances(one, other, pair[1]), self._chances(other, one, pair[0])
        p, expected = max(tail_of_sum(way, same) for way in ways), max(map(sum, ways))
        words = (
            f"Of {len(common)} gold items that both answered, one has {len(one)} wrong and the "
            f"other {len(other)}; {same} of these are the same wrong answer from both, where "
            f"chance gives {expected:.1f}."
        )
        return Signal(pair, "copier_on_gold", p if same > expected else 1.0, len(common), words)

    def _within(self, items: Set[int], person: int) -> dict[int, Wrong]:
        return {item: said for item, said in self.mistakes[person].items() if item in items}

    def _chances(
        self, mistakes: Mapping[int, Wrong], theirs: Mapping[int, Wrong], other: int
    ) -> list[float]:
        """Return for what somebody has wrong the chances that another says the same."""
        found = []
        for item, answer in mistakes.items():
            rest = self.counts[item][answer] - 1 - (theirs.get(item) == answer)
            share = (rest + 1) / self.counts[item].total()  # (rest + 1) of (the others + 2)
            chance = max(share * self.excess[other], self.habits[other][answer.sort])
            found.append(min(MOST_ALIKE, chance))
        return found


def _share_wrong(counts: Counter[Wrong | None], own: Wrong | None) -> float:
    """Return which share of the others is wrong about an item."""
    others = counts.total() - 1
    return (others - counts[None] + (own is None)) / others if others else 0.0


def tail_of_sum(chances: Sequence[float], least: int) -> float:
    """Return how probable it is that at least so many of independent events happen.

    >>> tail_of_sum([0.5, 0.5], 2), tail_of_sum([0.5], 0)
    (0.25, 1.0)
    """
    spread: NDArray[np.float64] = np.ones(1)
    for chance in chances:
        spread = np.convolve(spread, [1 - chance, chance])
    return min(1.0, float(spread[least:].sum()))


def flags(signals: Sequence[Signal], rate: float = FLAG_RATE) -> list[Signal]:
    """Return the signals that stand out among all of them, the least probable first.

    At most the share `rate` of them is false, in expectation (Benjamini–Hochberg). The p-values
    that come back are adjusted: the least rate at which each would be a flag.

    >>> found = [Signal((1,), "x", 0.001, 9, ""), Signal((2,), "x", 0.5, 9, "")]
    >>> [(one.people, one.p) for one in flags(found)]
    [((1,), 0.002)]
    """
    ordered = sorted(signals, key=lambda one: (one.p, one.people, one.detector))
    adjusted = [min(1.0, one.p * len(ordered) / rank) for rank, one in enumerate(ordered, start=1)]
    least = np.minimum.accumulate(np.array(adjusted)[::-1])[::-1]
    found = [replace(one, p=float(q)) for one, q in zip(ordered, least, strict=True)]
    return [one for one in found if one.p <= rate]


def _longest_run(sides: Sequence[int]) -> int:
    longest = run = 0
    before = 0
    for side in sides:
        run = run + 1 if side == before else 1
        before, longest = side, max(longest, run)
    return longest
