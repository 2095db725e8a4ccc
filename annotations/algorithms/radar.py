"""When reward and people part: the sign that a policy pleases its reward model and nobody else.

On its way from where it started a policy is looked at, at set distances (KL, in nats): it answers
the same prompts each time, and people compare each answer with one of the start. Gao et al. 2022
(arXiv:2210.10760): the reward goes on rising with the square root of the KL, what people think of
it rises with it, and falls again from some distance on.

Two looks are held against each other prompt by prompt, and the start is a look, too, with a reward
gain of 0 and one half of the votes. Where the later one has the higher reward, capital is bet on
people liking it less (`confidence_sequence.log_capital_below`). Each pair of looks that the set
distances can give has one unit; a pair that is not there yet, or in which the reward did not rise,
keeps it. They have parted once the mean reaches 20. If people never like a later policy of a higher
reward less, that ever happens with a probability of 5 % at most, however many distances there are
and however often one looks (Ville 1939; the mean of e-processes is one).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from annotations.algorithms.confidence_sequence import (
    LOG_LIMIT,
    AnytimeInterval,
    anytime_interval,
    in_drawn_order,
    log_capital_below,
)

EVEN = 0.5
"""How people like the start beside itself."""


@dataclass(frozen=True)
class Look:
    """A policy at one distance from where it started, beside the start, on the same prompts."""

    reward: float
    """By how much the reward model scores it above the start, on average."""
    scores: Mapping[Hashable, float]
    """Of each prompt that is finished, the share of votes for the policy; a tie is half a vote."""
    certain: Collection[Hashable] = ()
    """Those of them that nobody had to judge: equal texts, an empty answer."""
    waiting: Collection[Hashable] = ()
    """Prompts that wait for a vote."""

    def observations(self, seed: int = 0) -> list[float]:
        """Return the finished prompts' scores, what was certain at places drawn by lot."""
        return _drawn(self.scores, set(self.certain), len(set(self.waiting)), seed)

    def win_rate(self, seed: int = 0) -> AnytimeInterval:
        """Return how often people like it better than the start; the interval holds at any time."""
        return anytime_interval(self.observations(seed))


@dataclass(frozen=True)
class Parting:
    """Which look people like less, although its reward is higher."""

    at: int
    """The place of the look."""
    since: int | None
    """The place of the look before it that they like best; None is the start."""


def parting(looks: Sequence[Look], distances: int, seed: int = 0) -> Parting | None:
    """Return where reward and people part, or None. Looks come in the order of their distances.

    `distances` is how many looks there may ever be; the same seed has to come every time. Votes
    that are all ties say nothing, and so do none.

    >>> liked = Look(1.0, {prompt: 1.0 for prompt in range(12)})
    >>> loathed = Look(2.0, {prompt: 0.0 for prompt in range(12)})
    >>> parting([liked, loathed], distances=3)
    Parting(at=1, since=0)
    >>> parting([liked, Look(-2.0, loathed.scores)], distances=3) is None  # the reward agrees
    True
    """
    places = max(distances, len(looks))
    pairs = places * (places + 1) // 2
    found = list(_evidence(looks, seed))
    logs = np.array([log for _, _, log in found] + [0.0] * (pairs - len(found)))
    if not found or np.logaddexp.reduce(logs) - np.log(pairs) < LOG_LIMIT:
        return None
    at = max(found, key=lambda one: one[2])[0]
    return Parting(at, _liked_best(looks, [early for late, early, _ in found if late == at], seed))


def _evidence(looks: Sequence[Look], seed: int) -> Iterator[tuple[int, int | None, float]]:
    """Yield (later, earlier, log of the capital) of each pair in which the reward rose."""
    for late, later in enumerate(looks):
        for early in (None, *range(late)):
            earlier = None if early is None else looks[early]
            if later.reward > (0.0 if earlier is None else earlier.reward):
                seen = later.observations(seed) if earlier is None else _both(later, earlier, seed)
                yield late, early, _log_capital(seen)


def _both(later: Look, earlier: Look, seed: int) -> list[float]:
    """Return one observation a prompt: 0 where all the votes went from one side to the other."""
    finished = [prompt for prompt in later.scores if prompt in earlier.scores]
    scores = {p: (1 + later.scores[p] - earlier.scores[p]) / 2 for p in finished}
    certain = {p for p in finished if p in later.certain and p in earlier.certain}
    waits = {*later.waiting, *earlier.waiting}
    known = ({*later.scores, *later.waiting}, {*earlier.scores, *earlier.waiting})
    return _drawn(scores, certain, len(waits & known[0] & known[1]), seed)


def _drawn(
    scores: Mapping[Hashable, float], certain: Collection[Hashable], waiting: int, seed: int
) -> list[float]:
    judged = [score for prompt, score in scores.items() if prompt not in certain]
    known = [score for prompt, score in scores.items() if prompt in certain]
    return in_drawn_order(judged, waiting, known, np.random.default_rng(seed))


def _log_capital(observations: Sequence[float]) -> float:
    if not observations:
        return 0.0
    values, counts = np.unique(np.array(observations, dtype=float), return_counts=True)
    return float(log_capital_below(values, counts.astype(float)))


def _liked_best(looks: Sequence[Look], places: Sequence[int | None], seed: int) -> int | None:
    """Return the place that people like best; of equal ones the last, and nothing unjudged."""
    best, best_rate = None, EVEN
    for place in places:
        rate = EVEN if place is None else looks[place].win_rate(seed).rate
        judged = place is None or bool(looks[place].scores)
        if judged and rate >= best_rate:
            best, best_rate = place, rate
    return best
