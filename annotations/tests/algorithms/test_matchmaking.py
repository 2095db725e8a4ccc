"""Which pair fights next."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.battles import Battles
from annotations.algorithms.matchmaking import LEAST_OVERLAP, draw_pair, gain, overlap, pair_weights

MODELS = ["a", "b", "c", "d"]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(MODELS),
        st.sampled_from(MODELS),
        st.sampled_from(["left", "right", "tie", "both_bad"]),
    ),
    max_size=30,
)


@given(rows=ROWS, seed=st.integers(0, 1000))
def test_it_draws_two_different_models_of_those_that_fight(
    rows: list[tuple[str, str, str]], seed: int
) -> None:
    first, second = draw_pair(MODELS[:3], Battles.of(rows), random.Random(seed))
    assert first != second
    assert {first, second} <= set(MODELS[:3])


@given(rows=ROWS)
def test_every_pair_goes_on_being_drawn(rows: list[tuple[str, str, str]]) -> None:
    weights = pair_weights(MODELS, Battles.of(rows))
    assert len(weights) == 6
    assert all(0 < weight <= 1 for weight in weights.values())


@given(rows=ROWS)
def test_it_does_not_matter_who_stood_on_which_side(rows: list[tuple[str, str, str]]) -> None:
    turned = {"left": "right", "right": "left"}
    mirrored = [(right, left, turned.get(outcome, outcome)) for left, right, outcome in rows]
    one, other = (pair_weights(MODELS, Battles.of(of, models=MODELS)) for of in (rows, mirrored))
    assert one == pytest.approx(other)


def test_a_new_model_fights_most() -> None:
    rows = [("a", "b", "left"), ("b", "a", "left"), ("a", "c", "tie"), ("b", "c", "tie")] * 5
    rng = random.Random(1)
    drawn = Counter(name for _ in range(300) for name in draw_pair(MODELS, Battles.of(rows), rng))
    assert drawn["d"] > 250


def test_a_pair_that_is_decided_fights_least() -> None:
    rows = [("a", "b", "left")] * 20 + [("a", "c", "tie"), ("b", "c", "tie")] * 10
    weights = pair_weights(["a", "b", "c"], Battles.of(rows))
    assert weights["a", "b"] == pytest.approx(LEAST_OVERLAP * gain(20))
    assert weights["a", "b"] == min(weights.values())


def test_each_stands_first_as_often() -> None:
    rng = random.Random(2)
    firsts = Counter(draw_pair(["a", "b"], Battles.of([]), rng)[0] for _ in range(400))
    assert 160 < firsts["a"] < 240


@given(battles=st.integers(0, 10_000))
def test_each_further_battle_says_less(battles: int) -> None:
    assert 0 < gain(battles + 1) < gain(battles) <= 1


def test_intervals_that_hold_each_other_overlap_wholly() -> None:
    assert overlap((0, 10), (4, 5)) == overlap((4, 5), (0, 10)) == 1
    assert overlap((0, 1), (1, 2)) == LEAST_OVERLAP


@pytest.mark.parametrize("models", [[], ["a"], ["a", "a"]])
def test_it_refuses_fewer_than_two(models: list[str]) -> None:
    with pytest.raises(ValueError, match="two"):
        draw_pair(models, Battles.of([]), random.Random(1))
