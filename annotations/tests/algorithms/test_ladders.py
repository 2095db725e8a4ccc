from __future__ import annotations

import csv

import numpy as np
import pytest

from annotations.algorithms.battles import Battles
from annotations.algorithms.ladders import (
    eigenvector,
    mean_win_fraction,
    newman,
    online_elo,
    pagerank,
    wins,
)
from annotations.tests.algorithms.test_agreement import shared_data
from annotations.tests.algorithms.test_bradley_terry import TWELVE

ONE_BEAT_BOTH = np.array([[0.0, 2.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@pytest.fixture(scope="module")
def crowd():
    """Return the battles of 59 models, and a function to the published scores of a method."""
    with shared_data("llmfao/crowd-comparisons.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["left"], row["right"], row["winner"]) for row in csv.DictReader(file)]
    with shared_data("llmfao/published-ratings.csv").open(encoding="utf-8", newline="") as file:
        scores = {
            (row["algorithm"], row["item"]): float(row["score"]) for row in csv.DictReader(file)
        }
    battles = Battles.of(rows)
    return battles, lambda name: np.array([scores[name, model] for model in battles.models])


def test_it_gives_the_published_counts_and_shares_of_wins(crowd):
    battles, published = crowd
    np.testing.assert_allclose(wins(battles.win_matrix()), published("counting"))
    shares = mean_win_fraction(battles.win_fractions())
    np.testing.assert_allclose(shares, published("average_win_rate"))


def test_it_gives_the_published_elo_of_59_models(crowd):
    battles, published = crowd
    np.testing.assert_allclose(online_elo(battles), published("elo"))


def test_it_gives_the_published_newman_strengths(crowd):
    battles, published = crowd
    strengths, _ = newman(battles.win_matrix(), battles.tie_matrix())
    expected = published("newman")  # on a scale of its own, which the model leaves open
    expected = expected / np.exp(np.log(expected).mean())
    np.testing.assert_allclose(strengths, expected, rtol=1e-9)


def test_it_gives_the_published_pagerank(crowd):
    battles, published = crowd
    np.testing.assert_allclose(pagerank(battles.win_matrix()), published("pagerank"), rtol=1e-9)


def test_it_gives_the_published_eigenvector(crowd):
    # Published is the vector of losses: by it GPT 4 comes last.
    battles, published = crowd
    losses = battles.win_matrix().T
    np.testing.assert_allclose(eigenvector(losses), published("eigen"), rtol=1e-8)


def test_it_gives_the_published_elo_of_twelve_battles():
    assert online_elo(Battles.of(TWELVE)) == pytest.approx([1005.7765, 998.2235, 996.0], abs=5e-5)


def test_it_moves_elo_by_half_of_k_after_a_first_win():
    assert online_elo(Battles.of([("a", "b", "right")]), k=32).tolist() == [984, 1016]


def test_it_refuses_elo_of_battles_without_an_order():
    with pytest.raises(ValueError, match="order"):
        online_elo(Battles.of([("a", "b", "left")], counts=[2]))


def test_it_solves_newman_for_two_models_by_hand():
    # Four wins, one loss, two ties: odds 4 : 1, and 2 nu = 2 / sqrt(4 * 1).
    battles = Battles.of([("a", "b", o) for o in ("left", "right", "tie")], counts=[4, 1, 2])
    strengths, nu = newman(battles.win_matrix(), battles.tie_matrix())
    assert strengths[0] / strengths[1] == pytest.approx(4)
    assert nu == pytest.approx(0.5)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("a", "b", "tie")],
        [("a", "b", "left")] * 5,
        [("a", "b", "left"), ("a", "b", "right"), ("c", "d", "left"), ("c", "d", "right"),
         ("a", "c", "left")],
    ],
)  # fmt: skip
def test_it_says_where_newman_has_no_answer(rows):
    battles = Battles.of(rows)
    with pytest.raises(ValueError, match="Newman"):
        newman(battles.win_matrix(), battles.tie_matrix())


def test_it_solves_pagerank_by_hand():
    # Second lost twice to first and once to third; third lost to first; first jumps anywhere.
    scores = pagerank(ONE_BEAT_BOTH, damping=0.5)
    a, b, c = scores
    assert scores.sum() == pytest.approx(1)
    assert a == pytest.approx(1 / 6 + 0.5 * (a / 3 + 2 / 3 * b + c))
    assert b == pytest.approx(1 / 6 + 0.5 * a / 3)
    assert c == pytest.approx(1 / 6 + 0.5 * (a / 3 + b / 3))


def test_it_solves_the_eigenvector_by_hand():
    # [[0, 4], [1, 0]] has the eigenvalue 2 with (2, 1), and -2, between which powers alone swap.
    assert eigenvector(np.array([[0.0, 4.0], [1.0, 0.0]])) == pytest.approx(
        np.array([2.0, 1.0]) / np.sqrt(5)
    )


def test_it_scores_nothing_without_battles():
    nobody = Battles.of([], models="ab")
    assert online_elo(nobody).tolist() == [1000, 1000]
    assert wins(nobody.win_matrix()).tolist() == [0, 0]
    assert np.isnan(mean_win_fraction(nobody.win_fractions())).all()
    assert eigenvector(nobody.win_matrix()).tolist() == [0, 0]
    assert pagerank(nobody.win_matrix()) == pytest.approx([0.5, 0.5])
    assert pagerank(np.zeros((0, 0))).shape == eigenvector(np.zeros((0, 0))).shape == (0,)
