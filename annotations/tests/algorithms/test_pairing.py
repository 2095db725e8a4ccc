"""Which pair fights next."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.battles import Battles
from annotations.algorithms.bradley_terry import POINTS, RIDGE, fit, hessian
from annotations.algorithms.pairing import draw_pair, worthwhile_matches
from annotations.algorithms.winrate import Z_95
from annotations.tests.algorithms.test_bradley_terry import simulated

MODELS = ["a", "b", "c", "d"]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(MODELS),
        st.sampled_from(MODELS),
        st.sampled_from(["left", "right", "tie", "both_bad"]),
    ),
    max_size=30,
)


def gains(rows: list[tuple[str, str, str]], models: list[str]) -> dict[tuple[str, str], float]:
    """Return what one vote is worth, by pair."""
    battles = Battles.of(rows, models=models)
    found = worthwhile_matches(battles, fit(battles).parameters)
    return {(one.first, one.second): one.gain for one in found}


def test_it_tells_what_one_more_fit_of_the_curvature_would_find():
    battles = simulated(np.random.default_rng(3), np.array([0.5, 0.0, -0.5, 1.0]), 60)
    fitted = fit(battles)
    theta = fitted.parameters
    known = hessian(theta, fitted.battles, RIDGE)
    for match in worthwhile_matches(fitted.battles, theta, votes=7):
        x = np.zeros(4)
        x[match.first], x[match.second] = 1, -1
        p = 1 / (1 + np.exp(-x @ theta))
        after = known + 7 * p * (1 - p) * np.outer(x, x)
        errors = [np.sqrt(x @ np.linalg.inv(one) @ x) for one in (known, after)]
        assert match.gain == pytest.approx(2 * Z_95 * POINTS * (errors[0] - errors[1]))
        assert match.chance == pytest.approx(p)


@pytest.mark.parametrize("met", [0, 2, 10, 100])
def test_of_two_alone_it_is_the_rule_of_chatbot_arena(met: int) -> None:
    rows = [("a", "b", "left"), ("b", "a", "left")] * (met // 2)
    share = gains(rows, ["a", "b"])["a", "b"] / gains([], ["a", "b"])["a", "b"]
    of_first = 1 - 1 / np.sqrt(2)
    assert share == pytest.approx((1 / np.sqrt(met + 1) - 1 / np.sqrt(met + 2)) / of_first)


def test_it_prefers_new_models_then_close_ones():
    rows = [("a", "b", "left"), ("b", "a", "left"), ("a", "c", "left"), ("b", "c", "left")]
    battles = Battles.of(rows, counts=[30, 30, 58, 58], models=["a", "b", "c", "new"])
    found = worthwhile_matches(battles, fit(battles).parameters, votes=20)
    assert [one.second for one in found[:3]] == ["new"] * 3
    assert found[0].first in ("a", "b")  # c loses so surely that the new one would learn less
    assert [one.met for one in found if {one.first, one.second} == {"a", "b"}] == [60]


def test_it_takes_as_many_as_are_wanted_and_none_of_one():
    battles = Battles.of([("a", "b", "left")], models="abc")
    assert len(worthwhile_matches(battles, np.zeros(3), most=2)) == 2
    alone = replace(Battles.of([]), models=("a",))
    assert worthwhile_matches(alone, np.zeros(1)) == []


@given(rows=ROWS, seed=st.integers(0, 1000))
def test_it_draws_two_different_models_of_those_that_fight(
    rows: list[tuple[str, str, str]], seed: int
) -> None:
    first, second = draw_pair(MODELS[:3], Battles.of(rows), random.Random(seed))
    assert first != second
    assert {first, second} <= set(MODELS[:3])


@given(rows=ROWS)
def test_every_pair_goes_on_being_drawn(rows: list[tuple[str, str, str]]) -> None:
    found = gains(rows, MODELS)
    assert len(found) == 6
    assert all(gain > 0 for gain in found.values())


@given(rows=ROWS)
def test_it_does_not_matter_who_stood_on_which_side(rows: list[tuple[str, str, str]]) -> None:
    turned = {"left": "right", "right": "left"}
    mirrored = [(right, left, turned.get(outcome, outcome)) for left, right, outcome in rows]
    assert gains(rows, MODELS) == pytest.approx(gains(mirrored, MODELS))


def test_a_new_model_is_drawn_most() -> None:
    rows = [("a", "b", "left"), ("b", "a", "left"), ("a", "c", "tie"), ("b", "c", "tie")] * 5
    rng = random.Random(1)
    drawn = Counter(name for _ in range(300) for name in draw_pair(MODELS, Battles.of(rows), rng))
    assert drawn["d"] > 250


def test_a_pair_that_is_decided_is_worth_least() -> None:
    rows = [("a", "b", "left")] * 20 + [("a", "c", "tie"), ("b", "c", "tie")] * 10
    found = gains(rows, ["a", "b", "c"])
    assert found["a", "b"] == min(found.values())


def test_each_stands_first_as_often() -> None:
    rng = random.Random(2)
    firsts = Counter(draw_pair(["a", "b"], Battles.of([]), rng)[0] for _ in range(400))
    assert 160 < firsts["a"] < 240


@pytest.mark.parametrize("models", [[], ["a"], ["a", "a"]])
def test_it_refuses_fewer_than_two(models: list[str]) -> None:
    with pytest.raises(ValueError, match="two"):
        draw_pair(models, Battles.of([]), random.Random(1))
