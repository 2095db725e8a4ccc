from __future__ import annotations

from itertools import groupby
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.preferences import (
    MARGINS,
    margin_for,
    pair_from_comparison,
    score_for,
)
from annotations.algorithms.rankings import outcomes_from_ranking, pairs_from_ranking


@st.composite
def rankings(draw: st.DrawFn) -> list[list[int]]:
    """Draw a ranking of up to nine completions in tiers."""
    ids = draw(st.lists(st.integers(1, 10_000), unique=True, max_size=9))
    tier_of = {one: draw(st.integers(0, 4)) for one in ids}
    ordered = sorted(ids, key=lambda one: tier_of[one])
    return [list(tied) for _, tied in groupby(ordered, key=lambda one: tier_of[one])]


@given(rankings())
def test_it_gives_every_pair_but_the_tied_ones(ranking):
    count = sum(map(len, ranking))
    expected = comb(count, 2) - sum(comb(len(tier), 2) for tier in ranking)
    pairs = list(pairs_from_ranking(ranking))
    assert len(pairs) == expected
    assert len({frozenset(pair) for pair in pairs}) == expected


@given(rankings())
def test_it_turns_every_pair_round_when_the_ranking_is_reversed(ranking):
    turned = {(worse, better) for better, worse in pairs_from_ranking(ranking)}
    assert set(pairs_from_ranking(ranking[::-1])) == turned


@given(rankings(), st.randoms())
def test_it_does_not_care_about_the_order_inside_a_tier(ranking, rng):
    shuffled = [rng.sample(tier, len(tier)) for tier in ranking]
    assert set(pairs_from_ranking(shuffled)) == set(pairs_from_ranking(ranking))


def test_it_gives_no_pair_when_everything_is_tied():
    assert list(pairs_from_ranking([[1, 2, 3]])) == []


@given(rankings())
def test_it_says_the_same_by_outcomes_as_by_pairs(ranking):
    outcomes = list(outcomes_from_ranking(ranking))
    assert len(outcomes) == comb(sum(map(len, ranking)), 2)
    won = {
        (first, second) if outcome == "first" else (second, first)
        for first, second, outcome in outcomes
        if outcome != "tie"
    }
    assert won == set(pairs_from_ranking(ranking))


def test_it_asks_for_a_larger_margin_the_stronger_the_preference():
    margins = [margin_for(name) for name in ("significantly", "better", "slightly", "negligibly")]
    assert margins == sorted(MARGINS.values(), reverse=True)
    assert margin_for("") == 0.0


@pytest.mark.parametrize("outcome", ["tie", "both_bad"])
def test_it_makes_no_pair_of_a_tie_or_of_both_bad(outcome):
    assert pair_from_comparison("a", "b", outcome) is None
    assert score_for(outcome, side="left") == score_for(outcome, side="right") == 0.5


@pytest.mark.parametrize("outcome", ["left", "right", "tie", "both_bad"])
def test_it_shares_one_point_between_the_sides(outcome):
    assert score_for(outcome, side="left") + score_for(outcome, side="right") == 1


def test_it_refuses_an_unknown_outcome():
    with pytest.raises(ValueError, match="left, right, tie or both_bad"):
        pair_from_comparison("a", "b", "neither")
