from __future__ import annotations

from itertools import pairwise
from math import comb, exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.confidence_sequence import (
    anytime_interval,
    in_drawn_order,
    log_capital,
    prompt_means,
)
from annotations.algorithms.winrate import win_rate

EXPERIMENTS = 1000
WIN_AND_LOSS = np.array([1.0, 0.0])

observations = st.lists(st.sampled_from([0.0, 1 / 3, 0.5, 2 / 3, 1.0]), min_size=1, max_size=60)


def capital(seen: list[float], rate: float) -> float:
    return exp(log_capital(np.array(seen), np.ones(len(seen)), rate))


def first_promotions(scores: np.ndarray, rate: float = 0.5) -> np.ndarray:
    """Return at which look each row of observations is first above the rate; 0 if never."""
    values, where = np.unique(scores, return_inverse=True)
    counts = np.zeros((len(scores), len(values)))
    promoted = np.zeros(len(scores), int)
    for look, column in enumerate(where.reshape(scores.shape).T, start=1):
        counts[np.arange(len(scores)), column] += 1
        tallies, which = np.unique(counts, axis=0, return_inverse=True)
        above = (log_capital(values, tallies, rate) >= log(20)) & (tallies @ values > look * rate)
        promoted[(promoted == 0) & above[which.ravel()]] = look
    return promoted


def chances(win_rate: float, votes: int) -> np.ndarray:
    """Return, exactly, the probability that the votes up to each look promote.

    The wins that promote at one look promote with one more win at the next, so that two tallies
    a look tell where the boundary runs; the probabilities follow vote by vote.
    """
    boundary = 1
    waiting = np.zeros(votes + 2)
    waiting[0] = 1.0
    promoted = np.zeros(votes + 1)
    for look in range(1, votes + 1):
        waiting[1:] = waiting[1:] * (1 - win_rate) + waiting[:-1] * win_rate
        waiting[0] *= 1 - win_rate
        while 2 * boundary <= look or (
            boundary <= look
            and log_capital(WIN_AND_LOSS, np.array([boundary, look - boundary]), 0.5) < log(20)
        ):
            boundary += 1
        promoted[look] = promoted[look - 1] + waiting[boundary:].sum()
        waiting[boundary:] = 0
    return promoted


def test_it_knows_nothing_without_votes():
    interval = anytime_interval([])
    assert (interval.n, interval.rate, interval.low, interval.high) == (0, 0.5, 0.0, 1.0)


@pytest.mark.parametrize("beyond", [1.1, -0.1, float("nan")])
def test_it_refuses_what_is_no_score(beyond):
    with pytest.raises(ValueError, match="between 0"):
        anytime_interval([1.0, beyond])


def test_its_first_steps_are_those_worked_out_by_hand():
    """Bets q spread as Beta(2, 2) have the moments 1/2, 3/10 and 1/5.

    A win multiplies by q/m, a loss by (1 - q)/(1 - m), a tie by the mean of both.
    """
    assert capital([1.0], 0.3) == pytest.approx(1 / 2 / 0.3)
    assert capital([1.0, 1.0], 0.3) == pytest.approx(3 / 10 / 0.3**2)
    assert capital([1.0, 1.0, 1.0], 0.3) == pytest.approx(1 / 5 / 0.3**3)
    assert capital([1.0, 0.0], 0.3) == pytest.approx((1 / 2 - 3 / 10) / (0.3 * 0.7))
    assert capital([0.5], 0.3) == pytest.approx(1 / (4 * 0.3 * 0.7))
    # Two wins: 3/10 / m² = 20.
    assert anytime_interval([1.0, 1.0]).low == pytest.approx((3 / 200) ** 0.5)
    # A tie: 4 m (1 - m) = 1/20.
    assert anytime_interval([0.5]).low == pytest.approx((1 - (1 - 1 / 20) ** 0.5) / 2)


def test_nine_wins_in_a_row_promote_and_eight_do_not():
    # After k wins the bets hold 2^k 6 / ((k + 2)(k + 3)) against one half: 13.96, then 23.27.
    assert capital([1.0] * 8, 0.5) == pytest.approx(256 * 6 / 110)
    assert anytime_interval([1.0] * 8).low < 0.5 < anytime_interval([1.0] * 9).low


def test_its_bets_are_the_integral_over_all_of_them():
    # The integral of q^w (1 - q)^l 6 q (1 - q): a Beta function, here of whole numbers.
    wins, losses = 130, 100
    integral = 6 / ((wins + losses + 3) * comb(wins + losses + 2, wins + 1))
    found = log_capital(WIN_AND_LOSS, np.array([wins, losses]), 0.4)
    assert found == pytest.approx(log(integral) - wins * log(0.4) - losses * log(0.6))


@given(observations)
def test_ties_neither_help_nor_hurt_a_promotion(seen):
    assert capital([*seen, 0.5, 0.5], 0.5) == pytest.approx(capital(seen, 0.5))


@given(observations)
def test_it_keeps_the_rate_inside_the_interval(seen):
    interval = anytime_interval(seen)
    assert 0 <= interval.low <= interval.rate <= interval.high <= 1
    assert interval.low < interval.high


@given(observations)
def test_it_mirrors_when_the_sides_are_swapped(seen):
    interval = anytime_interval(seen)
    swapped = anytime_interval([1 - score for score in seen])
    assert swapped.low == pytest.approx(1 - interval.high)
    assert swapped.high == pytest.approx(1 - interval.low)


@given(observations, st.randoms())
def test_it_does_not_depend_on_the_order(seen, shuffler):
    shuffled = shuffler.sample(seen, len(seen))
    assert anytime_interval(shuffled).low == pytest.approx(anytime_interval(seen).low)


@given(observations, st.floats(0.02, 0.98))
def test_a_fair_bet_neither_wins_nor_loses_on_average(seen, rate):
    """If the rate is true, the capital of today is the mean of that of tomorrow."""
    after = rate * capital([*seen, 1.0], rate) + (1 - rate) * capital([*seen, 0.0], rate)
    assert after == pytest.approx(capital(seen, rate))


@given(observations)
def test_it_refuses_every_rate_outside_and_none_inside(seen):
    interval = anytime_interval(seen)
    for rate in np.linspace(0.01, 0.99, 25):
        if abs(rate - interval.low) > 1e-6 and abs(rate - interval.high) > 1e-6:
            assert (capital(seen, rate) < 20) == (interval.low < rate < interval.high)


def test_it_narrows_around_one_half_when_all_are_ties():
    few, many = anytime_interval([0.5] * 10), anytime_interval([0.5] * 1000)
    assert few.low < many.low < 0.5 < many.high < few.high
    assert many.high - many.low < 0.02


def test_at_most_one_in_twenty_promotes_without_being_better_whenever_one_looks():
    """A thousand A/A experiments of 1,000 votes each, watched after every vote."""
    scores = np.random.default_rng(11).integers(0, 2, (EXPERIMENTS, 1000)).astype(float)
    promoted = first_promotions(scores)
    assert 0 < np.count_nonzero(promoted) <= 0.05 * EXPERIMENTS


def test_looking_at_every_vote_and_in_the_end_at_all_promotes_no_more_than_one_in_twenty():
    """The gate goes by this interval until the votes are in, and then by the narrower one."""
    scores = np.random.default_rng(17).integers(0, 2, (EXPERIMENTS, 100)).astype(float)
    early = first_promotions(scores) > 0
    in_the_end = [win_rate(list(enumerate(row))).low > 0.5 for row in scores.tolist()]
    assert np.count_nonzero(early | np.array(in_the_end)) <= 0.05 * EXPERIMENTS


def test_ties_do_not_promote_more_often():
    rng = np.random.default_rng(12)
    scores = rng.choice([1.0, 0.5, 0.0], (EXPERIMENTS, 300), p=[0.2, 0.6, 0.2])
    assert np.count_nonzero(first_promotions(scores)) <= 0.05 * EXPERIMENTS


def test_votes_that_share_a_prompt_do_not_promote_more_often():
    """Five votes on each of 100 prompts whose inclination their voters share.

    A prompt counts once its votes are in. Were each of its votes an observation of its own, more
    than one in ten of these experiments would promote.
    """
    rng = np.random.default_rng(13)
    inclination = rng.beta(0.5, 0.5, (EXPERIMENTS, 100, 1))
    votes = (rng.random((EXPERIMENTS, 100, 5)) < inclination).astype(float)
    means = votes.sum(axis=2) / 5
    assert np.count_nonzero(first_promotions(means)) <= 0.05 * EXPERIMENTS
    alone = np.count_nonzero(first_promotions(votes.reshape(EXPERIMENTS, -1)))
    assert alone > 0.1 * EXPERIMENTS


def test_it_covers_a_rate_far_from_one_half_at_every_look():
    rng = np.random.default_rng(14)
    scores = (rng.random((EXPERIMENTS, 300)) < 0.85).astype(float)
    above = np.count_nonzero(first_promotions(scores, 0.85))
    below = np.count_nonzero(first_promotions(1 - scores, 0.15))
    assert above + below <= 0.05 * EXPERIMENTS


def test_it_promotes_after_as_many_votes_as_the_decision_states():
    """Exact probabilities, without a simulation; docs/decisions/0014 has the same numbers."""
    assert chances(0.5, 1000)[-1] == pytest.approx(0.0184, abs=0.0001)
    promoted = chances(0.6, 500)
    assert [int(np.searchsorted(promoted, share)) for share in (0.1, 0.5, 0.9)] == [44, 192, 450]


def test_a_simulated_better_child_is_promoted_as_soon():
    scores = (np.random.default_rng(15).random((EXPERIMENTS, 600)) < 0.6).astype(float)
    promoted = first_promotions(scores)
    assert np.count_nonzero(promoted) > 0.95 * EXPERIMENTS
    assert np.median(np.where(promoted, promoted, 9999)) == pytest.approx(192, abs=20)


def test_votes_on_one_prompt_are_one_observation_once_all_are_in():
    votes = [("a", 1.0), ("b", 0.0), ("b", 0.5), ("c", 1.0), ("a", 0.0), ("a", 1.0)]
    # Prompt a came first and was finished last; c still waits for a vote.
    assert prompt_means(votes, unfinished={"c"}) == [0.25, pytest.approx(2 / 3)]
    assert prompt_means([]) == []


def test_three_votes_of_one_mind_on_a_prompt_weigh_as_much_as_one():
    once = prompt_means([(prompt, 1.0) for prompt in range(9)])
    thrice = prompt_means([(prompt, 1.0) for prompt in range(9) for _ in range(3)])
    assert anytime_interval(once) == anytime_interval(thrice)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0])), st.lists(st.just(1.0)), st.integers(0, 2**32))
def test_what_is_known_beforehand_counts_in_its_turn_and_in_the_end_all(judged, known, seed):
    looks = [
        in_drawn_order(judged[:n], len(judged) - n, known, np.random.default_rng(seed))
        for n in range(len(judged) + 1)
    ]
    assert sorted(looks[-1]) == sorted([*judged, *known])
    for earlier, later in pairwise(looks):
        assert later[: len(earlier)] == earlier


def test_wins_against_empty_answers_do_not_promote_before_anybody_voted():
    """A rate of one half in all: 30 known wins beforehand, 70 prompts of which 20 are won."""
    assert anytime_interval([1.0] * 30).low > 0.5  # had they come first
    rng = np.random.default_rng(16)
    judged = [1.0] * 20 + [0.0] * 50
    orders = [
        in_drawn_order(rng.permutation(judged).tolist(), 0, [1.0] * 30, rng)
        for _ in range(EXPERIMENTS)
    ]
    assert np.count_nonzero(first_promotions(np.array(orders))) <= 0.05 * EXPERIMENTS
