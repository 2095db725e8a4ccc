from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from annotations.algorithms.battles import Battles
from annotations.algorithms.bradley_terry import RIDGE, fit, hessian
from annotations.algorithms.pairing import worthwhile_matches
from annotations.tests.algorithms.test_bradley_terry import simulated


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
        before, then = np.trace(np.linalg.inv(known)), np.trace(np.linalg.inv(after))
        assert match.gain == pytest.approx(1 - then / before)
        assert match.chance == pytest.approx(p)


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
