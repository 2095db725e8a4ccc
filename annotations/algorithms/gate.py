"""What the promotion gate goes by: which interval of a child's win rate decides, and when.

Two intervals may open the gate. While votes are missing, and for ever once the same two checkpoints
are evaluated a second time, it is the one that holds at every look (`confidence_sequence`), over
all votes of the pair. For the first evaluation alone, once all of its votes are in, it is the
narrower one for a single look (`winrate`), since how many votes there would be was settled
beforehand. If both are equally good, the first opens the gate with a probability of 2.5 % at most
(half of 5 %, by symmetry), and the second with one of 2.5 %: together below 5 %, however often
anybody looks and however often the evaluation is repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from annotations.algorithms.confidence_sequence import (
    AnytimeInterval,
    anytime_interval,
    in_drawn_order,
    prompt_means,
)
from annotations.algorithms.winrate import WinRate, win_rate

Votes = Sequence[tuple[Hashable, float]]
"""The prompt and the score (1 won, 0 lost) of each vote, the oldest first."""


@dataclass(frozen=True)
class Contest:
    """One evaluation of a child against its parent, as it stands now."""

    judged: Votes
    """What people said."""
    certain: Votes = ()
    """Votes that nobody has to cast: an empty answer has lost before anybody looks."""
    asked: Collection[Hashable] = ()
    """Prompts about which people are asked something."""
    unfinished: Collection[Hashable] = ()
    """Those of them that wait for a vote."""
    is_complete: bool = False
    seed: int = 0
    """Draws the places of what is certain; the same at every look."""

    def observations(self) -> list[float]:
        """Return the mean of each prompt that is finished, what is certain drawn in between."""
        known = prompt_means(one for one in self.certain if one[0] not in self.asked)
        beside = [one for one in self.certain if one[0] in self.asked]
        finished = prompt_means([*beside, *self.judged], self.unfinished)
        draw = np.random.default_rng(self.seed)
        return in_drawn_order(finished, len(self.unfinished), known, draw)


def so_far(contests: Sequence[Contest]) -> AnytimeInterval:
    """Return the rate over all finished prompts of a pair, with the interval for every look."""
    return anytime_interval(one for contest in contests for one in contest.observations())


def deciding(contests: Sequence[Contest]) -> WinRate | AnytimeInterval:
    """Return what the gate goes by: all evaluations of one child against one parent come in.

    Nine wins open it at once, while forty wait; all votes of a first evaluation are one look; and
    a second evaluation makes them one sequence, in which the same votes prove less.

    >>> nine = [(prompt, 1.0) for prompt in range(9)]
    >>> deciding([Contest(nine, unfinished=range(9, 49))]).low > 0.5
    True
    >>> sixty = [(prompt, float(prompt < 60)) for prompt in range(100)]
    >>> deciding([Contest(sixty, is_complete=True)]).low > 0.5
    True
    >>> deciding([Contest(sixty, is_complete=True), Contest([])]).low > 0.5
    False
    """
    first = contests[0] if len(contests) == 1 else None
    if first is not None and first.is_complete:
        return win_rate([*first.judged, *first.certain])
    return so_far(contests)
