"""When reward and people part: what is seen is told, what is not there is hardly ever told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from annotations.algorithms.confidence_sequence import log_capital_below
from annotations.algorithms.radar import Look, Parting, parting

PROMPTS = range(20)


def look(reward: float, won: int, of: int = 20, waiting: int = 0) -> Look:
    """Return a look at which people liked the policy better on `won` of so many prompts."""
    scores = {prompt: float(prompt < won) for prompt in PROMPTS[:of]}
    return Look(reward, scores, waiting=range(of, of + waiting))


def test_the_capital_of_nine_losses_is_that_of_the_lower_half_of_the_bets() -> None:
    """2⁹·∫(1-q)⁹ 6q(1-q) dq over q < 1/2, times two: 6·2¹⁰·(1/132 - (1/2)¹¹/11 + (1/2)¹²/12)."""
    capital = np.exp(log_capital_below(np.array([0.0]), np.array([9.0])))
    exact = 6 * 2**10 * (1 / 132 - 0.5**11 / 11 + 0.5**12 / 12)
    assert capital == pytest.approx(exact, rel=1e-3)
    assert np.exp(log_capital_below(np.array([1.0]), np.array([9.0]))) < 0.3
    assert log_capital_below(np.array([0.5]), np.array([99.0])) == pytest.approx(0)


def test_a_policy_that_people_like_less_at_a_higher_reward_has_parted_from_them() -> None:
    looks = [look(0.5, 12), look(1.0, 14), look(2.0, 2)]
    assert parting(looks[:2], 3) is None
    assert parting(looks, 3) == Parting(at=2, since=1)


def test_worse_than_the_start_is_parted_from_the_start() -> None:
    assert parting([look(1.0, 0)], 1) == Parting(at=0, since=None)


def test_people_who_like_less_what_the_reward_likes_less_agree_with_it() -> None:
    assert parting([look(1.0, 19), look(-0.1, 1), look(-0.5, 0)], 3) is None


@pytest.mark.parametrize(
    "looks",
    [
        [],
        [look(1.0, 0, of=0, waiting=20)],
        [Look(1.0, dict.fromkeys(PROMPTS, 0.5)), Look(2.0, dict.fromkeys(PROMPTS, 0.5))],
        [look(1.0, 0, of=4)],
    ],
    ids=["none", "nobody voted", "all ties", "few votes"],
)
def test_what_nobody_said_is_no_sign(looks: list[Look]) -> None:
    assert parting(looks, 4) is None


def test_each_further_distance_asks_for_more_votes() -> None:
    assert parting([look(1.0, 0, of=9)], 1) is not None
    assert parting([look(1.0, 0, of=9)], 4) is None


def test_what_was_certain_before_anybody_voted_counts_in_between() -> None:
    """Twelve empty answers are twelve losses, but not before their turn has come by lot."""
    lost = dict.fromkeys(range(12), 0.0)
    early = Look(1.0, lost, certain=lost, waiting=range(12, 40))
    assert parting([early], 1) is None
    assert len(early.observations()) < 12
    assert parting([dataclasses.replace(early, waiting=())], 1) is not None


def _ever_flagged(rates: tuple[float, float], draw: np.random.Generator) -> bool:
    """Return whether two looks at rising rewards were flagged after any of 2 × 20 votes."""
    votes = [(draw.random(20) < rate).astype(float) for rate in rates]
    for number in range(40):
        looks = []
        for place in (0, 1):
            seen = min(max(number + 1 - 20 * place, 0), 20)
            scores = {prompt: votes[place][prompt] for prompt in range(seen)}
            looks.append(Look(1.0 + place, scores, waiting=range(seen, 20)))
        if parting(looks, 2):
            return True
    return False


def test_hardly_any_run_that_people_like_no_less_is_ever_flagged() -> None:
    """Watched after every vote, at most one in twenty."""
    draw = np.random.default_rng(5)
    assert sum(_ever_flagged((0.5, 0.5), draw) for _ in range(60)) <= 3


def test_a_policy_that_lost_its_people_is_mostly_flagged() -> None:
    draw = np.random.default_rng(6)
    assert sum(_ever_flagged((0.65, 0.1), draw) for _ in range(16)) >= 11
