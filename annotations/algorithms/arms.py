"""What answers told that were chosen, beside those at random.

An item that is handed out takes along what its answer is expected to tell. When the answer is
there, it says by how much it moved what the model believed (`worth.told`), and that is compared
between the arms: for each answer, and for each second that it is expected to cost. Each answer is
taken alone, by what was known when its item was handed out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from annotations.algorithms.worth import LEAST, Rate, Times, rate, times, told

REWARD, LEADERBOARD = "reward", "leaderboard"
AIMS = (REWARD, LEADERBOARD)
"""What an answer is to teach."""


class ExpectedPair(TypedDict):
    """What a model thinks of two completions: how far the first is ahead, and how sure that is."""

    first: int
    second: int
    mean: float
    variance: float
    share: float


class Expected(TypedDict):
    """What an answer to an item is expected to tell, and what it costs."""

    aim: str
    nats: float
    seconds: float
    pairs: list[ExpectedPair]


@dataclass(frozen=True)
class Answered:
    """An answer to an item that was chosen or drawn at random."""

    item: int
    expected: Expected
    scores: Mapping[tuple[int, int], float]
    """Of two completions: 1 where the first was better, 0 where the second, a half for a tie.
    Both bad is nothing."""


@dataclass(frozen=True)
class ArmReport:
    """What the answers of one arm told."""

    answers: int
    items: int
    expected: float | None
    """Nats an answer, as reckoned before."""
    by_answer: Rate | None
    by_second: Rate | None


@dataclass(frozen=True)
class Comparison:
    """Both arms, and how many times as much the chosen answers told."""

    chosen: ArmReport
    random: ArmReport
    by_answer: Times | None
    by_second: Times | None

    @property
    def missing(self) -> str:
        """Say in words why the arms can't be compared, or nothing.

        >>> compared([], []).missing
        'Of the chosen items 0 are answered; 20 are needed.'
        """
        for name, arm in (("the chosen items", self.chosen), ("those at random", self.random)):
            if arm.items < LEAST:
                return f"Of {name} {arm.items} are answered; {LEAST} are needed."
        if self.by_answer is None or self.by_second is None:
            return (
                "The answers of one arm told so little that it may be nothing: either the model "
                "knew them before, or nearly all are ties. More answers will show which."
            )
        return ""


def compared(chosen: Sequence[Answered], at_random: Sequence[Answered]) -> Comparison:
    """Return what both arms told. Answers to one item hang together."""
    first, second = report(chosen), report(at_random)
    return Comparison(
        first,
        second,
        times(first.by_answer, second.by_answer),
        times(first.by_second, second.by_second),
    )


def report(answers: Sequence[Answered]) -> ArmReport:
    """Return what the answers of an arm told, by answer and by expected second."""
    nats = _nats(answers)
    by_item: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for one, told_by_it in zip(answers, nats, strict=True):
        sums = by_item[one.item]
        sums[0] += told_by_it
        sums[1] += 1
        sums[2] += one.expected["seconds"]
    amount, count, seconds = np.array(list(by_item.values())).reshape(-1, 3).T
    reckoned = [one.expected["nats"] for one in answers]
    return ArmReport(
        answers=len(answers),
        items=len(by_item),
        expected=float(np.mean(reckoned)) if reckoned else None,
        by_answer=rate(amount, count),
        by_second=rate(amount, seconds),
    )


def _nats(answers: Sequence[Answered]) -> list[float]:
    """Return what each answer told, in nats: the pairs of a ranking by their shares."""
    place, mean, variance, share, score = [], [], [], [], []
    for number, one in enumerate(answers):
        for pair in one.expected["pairs"]:
            said = _score(one, pair)
            if said is not None:
                place.append(number)
                mean.append(pair["mean"])
                variance.append(pair["variance"])
                share.append(pair["share"])
                score.append(said)
    if not place:
        return [0.0] * len(answers)
    moved = told(np.array(mean), np.array(variance), np.array(score)) * np.array(share)
    whole: list[float] = np.bincount(place, moved, len(answers)).tolist()
    return whole


def _score(one: Answered, pair: ExpectedPair) -> float | None:
    """Return how a pair was judged; a tie says nothing to a reward model."""
    first, second = pair["first"], pair["second"]
    said = one.scores.get((first, second))
    if said is None and (turned := one.scores.get((second, first))) is not None:
        said = 1 - turned
    return None if said == 0.5 and one.expected["aim"] == REWARD else said


def aimed_at(answers: Iterable[Answered], aim: str) -> list[Answered]:
    """Return the answers that were to teach one thing."""
    return [one for one in answers if one.expected["aim"] == aim]
