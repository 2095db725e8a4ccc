from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.winrate import win_rate

outcomes_of_prompts = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from([0.0, 0.5, 1.0])), max_size=60
)


def test_it_counts_a_tie_as_half_a_win():
    result = win_rate([("a", 1), ("b", 0.5), ("c", 0.5), ("d", 0)])
    assert (result.n, result.wins, result.ties, result.losses, result.rate) == (4, 1, 2, 1, 0.5)


def test_it_knows_nothing_without_judgements():
    result = win_rate([])
    assert (result.n, result.rate, result.low, result.high) == (0, 0.5, 0.0, 1.0)


def test_it_refuses_a_score_beyond_a_win():
    with pytest.raises(ValueError, match="between 0"):
        win_rate([("a", 2.0)])


@given(outcomes_of_prompts)
def test_it_keeps_the_rate_inside_the_interval(outcomes):
    result = win_rate(outcomes)
    assert 0 <= result.low <= result.rate <= result.high <= 1


@given(outcomes_of_prompts)
def test_it_mirrors_when_the_sides_are_swapped(outcomes):
    result = win_rate(outcomes)
    swapped = win_rate([(prompt, 1 - score) for prompt, score in outcomes])
    assert swapped.rate == pytest.approx(1 - result.rate)
    assert swapped.low == pytest.approx(1 - result.high)
    assert (swapped.wins, swapped.losses) == (result.losses, result.wins)


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_it_keeps_an_interval_when_every_judgement_is_the_same(score):
    result = win_rate([(prompt, score) for prompt in range(100)])
    assert result.high - result.low > 0.03


def test_it_does_not_let_a_few_wins_prove_anything():
    assert win_rate([(prompt, 1.0) for prompt in range(3)]).low < 0.5


def test_it_resembles_agresti_and_coull_where_each_prompt_is_judged_once():
    # 65 of 100: Agresti-Coull with two and two added gives .552 to .737.
    result = win_rate([(prompt, float(prompt < 65)) for prompt in range(100)])
    assert result.low == pytest.approx(0.552, abs=0.003)
    assert result.high == pytest.approx(0.737, abs=0.003)


def test_it_is_wider_when_a_prompt_is_judged_several_times():
    alone = win_rate([(prompt, float(prompt % 3 > 0)) for prompt in range(300)])
    together = win_rate([(prompt // 3, float(prompt // 3 % 3 > 0)) for prompt in range(300)])
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


@pytest.mark.parametrize("prompts", [50, 100, 300])
@pytest.mark.parametrize("rate", [0.5, 0.6, 0.85])
@pytest.mark.parametrize("ties", [0.0, 0.4])
@pytest.mark.parametrize("judges", [1, 3])
def test_its_interval_covers_the_truth_as_often_as_it_says(prompts, rate, ties, judges):
    """Simulate: each prompt has its own inclination, which its judges share."""
    rng = np.random.default_rng([prompts, int(rate * 100), int(ties * 10), judges])
    strength = 6.0  # of the prompts' Beta distribution around the rate
    covered = 0
    trials = 400
    for _ in range(trials):
        inclination = rng.beta(rate * strength, (1 - rate) * strength, prompts)
        won = rng.random((prompts, judges)) < inclination[:, None]
        tied = rng.random((prompts, judges)) < ties
        scores = np.where(tied, 0.5, won)
        result = win_rate(
            [(prompt, float(score)) for prompt in range(prompts) for score in scores[prompt]]
        )
        truth = ties * 0.5 + (1 - ties) * rate
        covered += result.low <= truth <= result.high
    # 400 trials of an interval that covers .95 lie above .92 but for one in two hundred.
    assert covered / trials >= 0.92
