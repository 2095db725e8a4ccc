"""What an answer is expected to tell, and told: by hand, by laws, and on simulated crowds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from annotations.algorithms.worth import (
    FLAT_SECONDS,
    LEAST,
    SPREAD,
    Questions,
    Rate,
    ask_order,
    belief,
    gain,
    pace,
    paid_seconds,
    rate,
    times,
    told,
)
from tests.bench.asking import Curve, board_curves, reward_curves, topical


def ask(x: list[list[float]], *, mean: list[float] | None = None, seconds: float = 1) -> Questions:
    """Return comparisons that differ so, each an item of its own."""
    size = len(x)
    middle = np.zeros(size) if mean is None else np.array(mean)
    return Questions(
        np.arange(size), np.array(x, float), middle, np.ones(size), np.full(size, seconds)
    )


def test_a_coin_whose_side_is_certain_but_unknown_tells_a_bit():
    """With a huge variance the answer is sure once w is known: the whole entropy, log 2."""
    assert gain(np.zeros(1), np.array([1e6]))[0] == pytest.approx(math.log(2), abs=0.05)


def test_a_small_variance_tells_as_much_as_fisher_says():
    """For small v the information is ½ p (1 − p) v: with p = ½ and v = .01 it is .00125 nats."""
    assert gain(np.zeros(1), np.array([0.01]))[0] == pytest.approx(0.00125, rel=0.01)
    chance = 1 / (1 + math.exp(-1.5))
    expected = chance * (1 - chance) * 0.01 / 2
    assert gain(np.array([1.5]), np.array([0.01]))[0] == pytest.approx(expected, rel=0.01)


def test_two_thoughts_that_are_as_likely_give_the_gain_by_hand():
    """Whatever the belief, what answers tell on average is what they were expected to tell."""
    mean, variance = np.array([0.0, 1.0, -2.0, 3.0]), np.array([1.0, 4.0, 0.3, 9.0])
    nodes = np.random.default_rng(0).normal(size=(100_000, 1)) * np.sqrt(variance) + mean
    chance = (1 / (1 + np.exp(-nodes))).mean(axis=0)
    expected = chance * told(mean, variance, np.ones(4))
    expected += (1 - chance) * told(mean, variance, np.zeros(4))
    assert gain(mean, variance) == pytest.approx(expected, rel=0.02)


def test_the_first_and_the_second_text_are_alike_to_it():
    mean, variance = np.array([0.7, 2.0]), np.array([1.0, 3.0])
    assert gain(mean, variance) == pytest.approx(gain(-mean, variance))
    assert told(mean, variance, np.ones(2)) == pytest.approx(told(-mean, variance, np.zeros(2)))


def test_a_surprise_tells_more_than_what_was_expected():
    mean, variance = np.full(2, 2.0), np.full(2, 1.0)
    against, expected = told(mean, variance, np.array([0.0, 1.0]))
    assert against > 3 * expected > 0


def test_where_nothing_is_open_nothing_is_told():
    nothing = np.zeros(3)
    assert gain(np.array([0.0, 5.0, -5.0]), nothing) == pytest.approx(nothing, abs=1e-12)
    assert told(np.array([0.0, 5.0, 1.0]), nothing, np.array([1.0, 0.0, 0.5])) == pytest.approx(
        nothing, abs=1e-12
    )


def test_a_belief_narrows_by_hand():
    """One dimension, typical length 1: prior precision 1/4; eight answers at ½ add 8 · ¼ = 2."""
    one = np.ones((1, 1))
    assert belief(one, np.zeros(1), np.array([8.0]), typical=1.0)[0, 0] == pytest.approx(1 / 2.25)
    none = belief(np.zeros((0, 2)), np.zeros(0), np.zeros(0), typical=1.0)
    assert none == pytest.approx(SPREAD**2 * np.eye(2))


def test_a_belief_without_any_difference_is_finite():
    assert np.isfinite(belief(np.zeros((3, 2)), np.zeros(3), np.ones(3), typical=0.0)).all()


def test_it_does_not_ask_the_same_thing_twice_in_a_row():
    found = ask_order(ask([[1, 0], [1, 0], [0, 0.9]]), np.eye(2), most=3)
    assert found.order.tolist() == [0, 2, 1]
    assert found.nats[1] < found.nats[2] < found.nats[0]


def test_taking_the_best_one_by_one_equals_looking_at_all_every_time():
    """The lazy heap gives the order of a plain double loop."""
    rng = np.random.default_rng(4)
    x, mean = rng.normal(size=(40, 5)), rng.normal(size=40)
    seconds = rng.uniform(10, 60, 40)
    some = Questions(np.arange(40), x, mean, np.ones(40), seconds)
    covariance, left, order = np.eye(5) * 2, list(range(40)), []
    while left:
        worth = {
            n: gain(mean[n : n + 1], np.array([x[n] @ covariance @ x[n]]))[0] / seconds[n]
            for n in left
        }
        best = max(left, key=lambda n: worth[n])
        left.remove(best)
        order.append(best)
        chance = 1 / (1 + math.exp(-mean[best]))
        weight = chance * (1 - chance)
        inverse = np.linalg.inv(covariance) + weight * np.outer(x[best], x[best])
        covariance = np.linalg.inv(inverse)
    assert ask_order(some, np.eye(5) * 2, most=40).order.tolist() == order


def test_it_asks_what_costs_less_where_both_tell_the_same():
    some = Questions(np.arange(2), np.eye(2), np.zeros(2), np.ones(2), np.array([60.0, 20.0]))
    assert ask_order(some, np.eye(2), most=2).order.tolist() == [1, 0]


def test_what_ties_all_the_same_stays_in_its_order():
    assert ask_order(ask([[1, 0]] * 3), np.zeros((2, 2)), most=3).order.tolist() == [0, 1, 2]
    nothing = Questions(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0))
    assert ask_order(nothing, np.eye(2), most=5).order.tolist() == []


def test_expected_ties_make_a_close_pair_worth_less():
    def worth_with(ties: float) -> float:
        some = Questions(
            np.zeros(1, int), np.ones((1, 1)), np.zeros(1), np.ones(1), np.ones(1), ties
        )
        return float(ask_order(some, np.eye(1), most=1).nats[0])

    assert worth_with(0.25) == pytest.approx(0.75 * worth_with(0.0))


def test_a_score_that_is_not_a_number_is_refused_in_words():
    with pytest.raises(ValueError, match="Leave out the items"):
        ask([[1.0, 0.0]], mean=[math.nan])


def test_seconds_follow_people_and_rates():
    """8 s and 100 words at 4 a second are 33 s; twenty people who take 66 make it twice as long."""
    assert pace([]) == 1.0
    assert pace([(100, 66.0)] * 20 + [(100, 9_000.0)]) == 2.0
    assert pace([(100, 0.0)] * 20) == 1.0, "no time was measured"
    assert paid_seconds(100, 2.0) == 66.0
    assert paid_seconds(100, 2.0, per_hour=12_000_000) == 66.0
    assert paid_seconds(100, 2.0, per_item=300_000, per_hour=12_000_000) == 90.0
    assert paid_seconds(900, 2.0, per_item=300_000) == FLAT_SECONDS


def test_a_rate_counts_things_not_answers():
    """Two items with 2 and 1 answers told 3 and 1: 4/3 each; residuals 1/3, −1/3, over 3."""
    found = rate(np.array([3.0, 1.0]), np.array([2.0, 1.0]))
    assert found is not None
    assert found.value == pytest.approx(4 / 3)
    assert found.error == pytest.approx(math.sqrt(2 * (1 / 3) ** 2 * 2) / 3)
    assert rate(np.array([1.0]), np.array([1.0])) is None
    assert rate(np.zeros(2), np.zeros(2)) is None


def test_two_arms_are_compared_only_where_that_can_be_said():
    many, few = Rate(0.2, 0.02, 200), Rate(0.1, 0.01, LEAST - 1)
    assert times(many, None) is None
    assert times(many, few) is None, "too few"
    assert times(many, Rate(0.01, 0.01, 200)) is None, "may be nothing"
    found = times(many, Rate(0.1, 0.01, 200))
    assert found is not None
    assert found.value == pytest.approx(2)
    reach = math.exp(1.959964 * math.hypot(0.1, 0.1))
    assert (found.low, found.high) == pytest.approx((2 / reach, 2 * reach))
    assert found.saved[0] == pytest.approx(0.5)


def test_the_interval_of_the_comparison_holds_what_is_true():
    """Gains of 2 and 1 on average, skewed; about 95 of 100 intervals hold the ratio of 2."""
    rng, holds = np.random.default_rng(1), 0
    for _ in range(100):
        arms = [
            rate(rng.exponential(scale, size), np.ones(size)) for scale, size in ((2, 300), (1, 60))
        ]
        found = times(*arms)
        assert found is not None
        holds += found.low <= 2 <= found.high
    assert holds >= 88


def test_where_a_mark_is_reached_is_read_between_two_points():
    curve = Curve(np.array([50.0, 100, 150]), np.array([1.0, 2, 3]), np.array([0.6, 0.8, 0.7]))
    assert curve.until(0.7, curve.labels) == pytest.approx(75)
    assert curve.until(0.9, curve.labels) == 150
    assert curve.until(0.5, curve.seconds) == 1
    falling = Curve(curve.labels, curve.seconds, np.array([300.0, 200, 100]))
    assert falling.until(250, falling.labels, falling=True) == pytest.approx(75)


def test_a_simulated_crowd_teaches_a_reward_model_with_fewer_labels_that_were_chosen():
    saved = []
    for seed in range(2):
        plain, chosen = reward_curves(topical, seed, labels=300, pool=1_500)
        until = chosen.until(float(plain.reached[-1]), chosen.labels)
        saved.append(1 - until / plain.labels[-1])
    assert np.mean(saved) > 0.15


def test_a_simulated_leaderboard_gets_as_narrow_with_fewer_votes():
    plain, chosen = board_curves(1, labels=300, pool=1_500)
    assert chosen.reached[-1] < plain.reached[-1]
    until = chosen.until(float(plain.reached[-1]), chosen.seconds, falling=True)
    assert until < 0.8 * plain.seconds[-1]
