from __future__ import annotations

import csv
import time
from math import comb, exp, log, sqrt

import numpy as np
import pytest

from annotations.algorithms.battles import Battles
from annotations.algorithms.bradley_terry import (
    POINTS,
    bootstrap_intervals,
    fit,
    gradient,
    hessian,
    loss,
    minima_of_drawn,
    minimum_of_drawn,
    ranks,
)
from annotations.algorithms.winrate import Z_95
from annotations.tests.algorithms.test_agreement import shared_data

ALMOST_NONE = 1e-7

# Twelve battles that FastChat and arena-rank were run on. They count "both bad" as a tie: the
# seventh is one.
TWELVE = [
    *[("m1", "m2", "left"), ("m2", "m1", "right"), ("m1", "m3", "left"), ("m3", "m1", "left")],
    *[("m2", "m3", "tie"), ("m3", "m2", "left"), ("m1", "m2", "tie"), ("m2", "m1", "left")],
    *[("m1", "m3", "left"), ("m3", "m2", "right"), ("m2", "m3", "left"), ("m1", "m2", "left")],
]


def two_models(wins: int, ties: int, losses: int) -> Battles[str]:
    rows = [("a", "b", outcome) for outcome in ("left", "tie", "right")]
    return Battles.of(rows, counts=[wins, ties, losses])


def simulated(rng, theta, battles, *, ties=0.0):
    """Return battles of models of given strength; of a pair's lesser chance `ties` goes to ties."""
    left = rng.integers(0, len(theta), battles)
    right = (left + rng.integers(1, len(theta), battles)) % len(theta)
    p = 1 / (1 + np.exp(theta[right] - theta[left]))
    tie = 2 * ties * np.minimum(p, 1 - p)
    drawn = rng.random(battles)
    outcome = np.where(drawn < p - tie / 2, "left", np.where(drawn < p + tie / 2, "tie", "right"))
    rows = zip(left.tolist(), right.tolist(), outcome.tolist(), strict=True)
    return Battles.of(rows, models=range(len(theta)))


def test_it_rates_two_models_by_the_logarithm_of_their_odds():
    # theta_a - theta_b = ln(p / q), half of it to each side of the mean.
    ratings = fit(two_models(30, 0, 10), ridge=ALMOST_NONE).ratings()
    assert ratings == pytest.approx([1000 + POINTS * log(3) / 2, 1000 - POINTS * log(3) / 2])


@pytest.mark.parametrize(("wins", "ties", "losses"), [(30, 0, 10), (20, 20, 0), (5, 30, 5)])
def test_it_gives_the_sandwich_of_two_models_by_hand(wins, ties, losses):
    # One parameter, d = ln(p / q): H = n p q, G = wins q^2 + ties (1/2 - p)^2 + losses p^2.
    n = wins + ties + losses
    p = (wins + ties / 2) / n
    scores = wins * (1 - p) ** 2 + ties * (0.5 - p) ** 2 + losses * p**2
    error = sqrt(scores) / (n * p * (1 - p))
    intervals = fit(two_models(wins, ties, losses), ridge=ALMOST_NONE).intervals()
    assert (intervals[0, 1] - intervals[0, 0]) / 2 == pytest.approx(
        Z_95 * POINTS * error / 2, rel=1e-5
    )


def test_it_holds_a_model_that_won_five_of_five():
    # By symmetry theta_a = -theta_b = t with 5 sigma(-2 t) = t / 2.
    fitted = fit(two_models(5, 0, 0))
    t = (fitted.ratings()[0] - 1000) / POINTS
    assert 5 / (1 + exp(2 * t)) == pytest.approx(t / 2)
    assert fitted.ratings() == pytest.approx([1184.8, 815.2], abs=0.05)
    # Along d the Hessian is 10 p q + 1/2 and G 10 q^2 + 1/2; the prior has 1/2 of 5 p q + 1/2.
    q = t / 10
    information = 10 * q * (1 - q) + 0.5
    of_prior = 0.5 / (5 * q * (1 - q) + 0.5)
    sandwich, believed = (10 * q**2 + 0.5) / information**2, 1 / information
    variance = ((1 - of_prior) * sandwich + of_prior * believed) / 2
    reach = fitted.intervals()[0, 1] - fitted.ratings()[0]
    assert reach == pytest.approx(Z_95 * POINTS * sqrt(variance))


def test_it_tells_two_equal_models_apart_about_as_rarely_as_it_says():
    # Every result of n battles with its chance: no simulation.
    for n in (*range(1, 12), 20):
        wrongly = sum(
            comb(n, wins) / 2**n
            for wins in range(n + 1)
            if fit(two_models(wins, 0, n - wins)).standings()[1].rank == 2
        )
        assert wrongly < 0.075, n


def test_it_gives_the_published_ratings_of_twelve_battles():
    fitted = fit(Battles.of(TWELVE), ridge=ALMOST_NONE)
    assert fitted.ratings() == pytest.approx([1096.394, 979.192, 924.414], abs=2e-3)
    published = [[929.1, 1263.7], [846.1, 1112.3], [751.0, 1097.8]]
    np.testing.assert_allclose(fitted.intervals(), published, atol=0.06)
    assert [line.rank for line in fitted.standings()] == [1, 1, 1]


def test_it_gives_the_published_scores_of_four_journals():
    # Citations (Stigler 1994; Agresti, Categorical Data Analysis): who is cited has won.
    wins = {
        ("Biometrika", "Comm"): (730, 33),
        ("Biometrika", "JASA"): (498, 320),
        ("Biometrika", "JRSS-B"): (221, 284),
        ("Comm", "JASA"): (68, 813),
        ("Comm", "JRSS-B"): (17, 276),
        ("JASA", "JRSS-B"): (142, 325),
    }
    rows = [(*pair, outcome) for pair in wins for outcome in ("left", "right")]
    counts = [count for pair in wins.values() for count in pair]
    ratings = fit(Battles.of(rows, counts=counts), ridge=ALMOST_NONE).ratings(("Biometrika", 0.0))
    assert ratings / POINTS == pytest.approx([0, -2.9491, -0.4796, 0.2690], abs=1e-4)


def test_it_gives_the_published_strengths_of_59_models():
    with shared_data("llmfao/crowd-comparisons.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["left"], row["right"], row["winner"]) for row in csv.DictReader(file)]
    with shared_data("llmfao/published-ratings.csv").open(encoding="utf-8", newline="") as file:
        published = {
            row["item"]: float(row["score"])
            for row in csv.DictReader(file)
            if row["algorithm"] == "bradley_terry"
        }
    fitted = fit(Battles.of(rows), ridge=ALMOST_NONE)
    strengths = np.exp(fitted.ratings() / POINTS - 1000 / POINTS)
    expected = [published[model] for model in fitted.battles.models]
    np.testing.assert_allclose(strengths / strengths.sum(), expected, rtol=1e-6)


def test_it_descends_the_gradient_that_a_loop_computes():
    rng = np.random.default_rng(4)
    battles = simulated(rng, rng.normal(size=4), 30, ties=0.3)
    style = rng.normal(size=(len(battles.score), 2))
    battles = Battles.of(
        [("abcd"[i], "abcd"[j], "left") for i, j in zip(battles.left, battles.right, strict=True)],
        style=style,
        counts=rng.integers(1, 4, 30).tolist(),
    )
    at, ridge = rng.normal(size=6), 0.3
    expected, curvature, nats = ridge * at, ridge * np.eye(6), ridge / 2 * float(at @ at)
    for n in range(len(battles.score)):
        x = np.zeros(6)
        x[battles.left[n]] += 1
        x[battles.right[n]] -= 1
        x[4:] = battles.style[n]
        p = 1 / (1 + exp(-float(x @ at)))
        score, count = battles.score[n], battles.count[n]
        expected = expected + count * (p - score) * x
        curvature = curvature + count * p * (1 - p) * np.outer(x, x)
        nats -= count * (score * log(p) + (1 - score) * log(1 - p))
    assert loss(at, battles, ridge) == pytest.approx(nats)
    np.testing.assert_allclose(gradient(at, battles, ridge), expected)
    np.testing.assert_allclose(hessian(at, battles, ridge), curvature, atol=1e-12)


def test_it_ends_where_the_gradient_is_nothing():
    rng = np.random.default_rng(8)
    fitted = fit(simulated(rng, np.array([3.0, 0, 0, -3.0]), 500), ridge=ALMOST_NONE)
    slope = gradient(fitted.parameters, fitted.battles, fitted.ridge)
    np.testing.assert_allclose(slope, 0, atol=1e-8)


@pytest.mark.parametrize(("battles", "ties"), [(40, 0.0), (400, 0.6)])
def test_it_covers_the_truth_in_95_of_100_intervals(battles, ties):
    rng = np.random.default_rng(17)
    theta = np.array([1.0, 0.5, 0.2, -0.3, -0.6, -0.8])
    truth = 1000 + POINTS * (theta - theta.mean())
    covered = []
    for _ in range(100):
        low, high = fit(simulated(rng, theta, battles, ties=ties)).intervals().T
        covered.append((low <= truth) & (truth <= high))
    assert 0.93 < np.mean(covered) < 0.98


def test_it_counts_copies_of_a_vote_in_one_cluster_as_one():
    rng = np.random.default_rng(6)
    theta = np.array([0.5, 0.0, -0.5])
    once = simulated(rng, theta, 60)
    rows = [
        (int(i), int(j), "left" if score else "right")
        for i, j, score in zip(once.left, once.right, once.score, strict=True)
    ]
    alone = fit(Battles.of(rows), ridge=ALMOST_NONE).errors
    clusters = [number for number in range(60) for _ in range(4)]
    copied = [row for row in rows for _ in range(4)]
    together = fit(Battles.of(copied, clusters=clusters), ridge=ALMOST_NONE).errors
    np.testing.assert_allclose(together, alone * sqrt(60 / 59), rtol=1e-5)
    np.testing.assert_allclose(
        fit(Battles.of(copied), ridge=ALMOST_NONE).errors, alone / 2, rtol=1e-5
    )


def test_it_takes_out_what_style_wins():
    rng = np.random.default_rng(11)
    longer = rng.normal(1.0, 1.0, 3000)  # a writes at greater length, and length is all that counts
    won = rng.random(3000) < 1 / (1 + np.exp(-0.8 * longer))
    rows = [("a", "b", "left" if left else "right") for left in won]
    plain = fit(Battles.of(rows)).standings()
    controlled = fit(Battles.of(rows, style=np.column_stack([longer, np.zeros(3000)])))
    assert [line.rank for line in plain] == [1, 2]
    assert [line.rank for line in controlled.standings()] == [1, 1]
    length, never_seen = controlled.style_effects()
    spread = sqrt(float(np.mean(longer**2)))
    assert length.low < POINTS * 0.8 * spread < length.high
    assert length.high - length.low < 80
    assert never_seen.points == 0
    assert never_seen.low < 0 < never_seen.high


def test_it_does_not_care_which_answer_was_on_the_left():
    rng = np.random.default_rng(2)
    rows = [("ab"[n % 2], "cd"[n % 3 % 2], ("left", "right", "tie")[n % 5 % 3]) for n in range(40)]
    style = rng.normal(1, 1, size=(40, 2))
    swap = {"left": "right", "right": "left", "tie": "tie"}
    turned = rng.random(40) < 0.5
    other = [
        (right, left, swap[outcome]) if turn else (left, right, outcome)
        for (left, right, outcome), turn in zip(rows, turned, strict=True)
    ]
    first = fit(Battles.of(rows, models="abcd", style=style))
    second = fit(Battles.of(other, models="abcd", style=np.where(turned[:, None], -style, style)))
    np.testing.assert_allclose(first.parameters, second.parameters, atol=1e-8)
    np.testing.assert_allclose(first.errors, second.errors)


def test_it_is_the_same_from_counts_as_from_rows():
    rows = TWELVE * 3
    counted = fit(Battles.of(TWELVE, counts=[3] * 12))
    one_by_one = fit(Battles.of(rows, clusters=range(36)))
    np.testing.assert_allclose(counted.ratings(), fit(Battles.of(rows)).ratings())
    np.testing.assert_allclose(counted.ratings(), one_by_one.ratings())


def test_it_moves_the_whole_board_to_the_anchor():
    fitted = fit(Battles.of(TWELVE))
    free, anchored = fitted.standings(), fitted.standings(("m2", 1200.0))
    assert next(line.rating for line in anchored if line.model == "m2") == 1200
    for before, after in zip(free, anchored, strict=True):
        assert after.rating - after.low == pytest.approx(before.rating - before.low)
        assert (after.model, after.rank, after.battles) == (
            before.model,
            before.rank,
            before.battles,
        )


def test_it_ranks_by_who_lies_wholly_above():
    intervals = np.array([[10.0, 20.0], [20.0, 30.0], [21.0, 40.0], [0.0, 9.0]])
    by_hand = [1 + sum(low > own for low, _ in intervals) for _, own in intervals]
    assert ranks(intervals).tolist() == by_hand == [2, 1, 1, 4]


def test_it_rates_everybody_the_same_when_all_is_tied():
    rows = [("a", "b", "tie"), ("b", "c", "tie"), ("c", "a", "tie")] * 10
    board = fit(Battles.of(rows)).standings()
    assert [line.rating for line in board] == pytest.approx([1000] * 3)
    assert [line.rank for line in board] == [1, 1, 1]
    assert all(line.low < 1000 < line.high for line in board)


def test_it_knows_nothing_of_models_that_nobody_voted_on():
    few, none = fit(Battles.of(TWELVE, models=["new"])), fit(Battles.of([], models="abc"))
    new = next(line for line in few.standings() if line.model == "new")
    assert (new.rating, new.rank, new.battles) == (pytest.approx(1000), 1, 0)
    widths = {line.model: line.high - line.low for line in few.standings()}
    assert max(widths, key=widths.__getitem__) == "new"
    assert widths["new"] > 800
    # The prior alone: variance 1 / ridge, of which the mean of three takes a third.
    assert none.errors == pytest.approx([sqrt(2 * 2 / 3)] * 3)
    assert [line.rank for line in none.standings()] == [1, 1, 1]


def test_it_does_not_claim_to_know_how_groups_that_never_met_compare():
    rows = [("a", "b", "left"), ("a", "b", "right"), ("c", "d", "left"), ("c", "d", "right")]
    board = fit(Battles.of(rows, counts=[500] * 4)).standings()
    assert all(line.high - line.low > 300 for line in board)


@pytest.mark.parametrize("rows", [[("a", "a", "left")], [("a", "a", "both_bad")]])
def test_it_lists_a_model_that_is_alone(rows):
    (line,) = fit(Battles.of(rows)).standings()
    assert (line.model, line.rating, line.rank, line.battles) == ("a", 1000, 1, 0)


def test_it_gives_an_empty_board_without_models():
    fitted = fit(Battles.of([]))
    assert fitted.standings() == []
    assert bootstrap_intervals(fitted, rng=np.random.default_rng(0)).shape == (0, 2)


def test_it_refuses_an_anchor_that_is_not_on_the_board():
    with pytest.raises(ValueError, match="'m9' is not on the board"):
        fit(Battles.of(TWELVE)).ratings(("m9", 1000.0))


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan"), float("inf")])
def test_it_refuses_a_ridge_that_holds_nothing(ridge):
    with pytest.raises(ValueError, match="ridge above 0"):
        fit(Battles.of(TWELVE), ridge=ridge)


def test_it_bootstraps_about_the_interval_of_the_sandwich():
    fitted = fit(simulated(np.random.default_rng(5), np.array([0.8, 0.1, -0.9]), 600, ties=0.4))
    drawn = bootstrap_intervals(fitted, rng=np.random.default_rng(0), rounds=150)
    widths, expected = np.diff(drawn)[:, 0], np.diff(fitted.intervals())[:, 0]
    np.testing.assert_allclose(widths, expected, rtol=0.2)


@pytest.mark.parametrize("strengths", [[0.8, 0.1, -0.9], [6.0, 0.0, -6.0, 0.0]])
def test_all_resamples_at_once_have_the_minima_of_one_after_the_other(strengths):
    rng = np.random.default_rng(6)
    fitted = fit(simulated(rng, np.array(strengths), 90, ties=0.2))
    counts = [*rng.integers(0, 3, (8, len(fitted.battles.count))).astype(float)]
    counts.append(np.zeros(len(fitted.battles.count)))
    expected = [minimum_of_drawn(fitted, count) for count in counts]
    np.testing.assert_allclose(minima_of_drawn(fitted, counts), expected, atol=1e-6)


def test_it_draws_the_same_intervals_from_the_same_seed():
    fitted = fit(Battles.of(TWELVE))
    first, second = (
        bootstrap_intervals(fitted, rng=np.random.default_rng(0), rounds=5) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_it_bootstraps_whole_clusters():
    rows = [("a", "b", ("left", "right")[number % 2]) for number in range(40) for _ in range(25)]
    clusters = [number // 25 for number in range(1000)]
    alone, together = (
        np.diff(bootstrap_intervals(fit(battles), rng=np.random.default_rng(0)))[0, 0]
        for battles in (Battles.of(rows), Battles.of(rows, clusters=clusters))
    )
    assert together > 3 * alone


def test_it_rates_100_000_battles_of_50_models_in_well_under_a_second():
    rng = np.random.default_rng(3)
    left = rng.integers(0, 50, 100_000)
    right = (left + rng.integers(1, 50, 100_000)) % 50
    outcomes = np.array(["left", "right", "tie"])[rng.integers(0, 3, 100_000)]
    rows = list(zip(left.tolist(), right.tolist(), outcomes.tolist(), strict=True))
    style = rng.normal(size=(100_000, 2))
    started = time.process_time()  # what other programs do meanwhile is not counted
    fit(Battles.of(rows)).standings()
    fit(Battles.of(rows, style=style)).standings()
    assert time.process_time() - started < 1


def test_it_gives_the_chances_against_one_model():
    wins, ties, losses = 30, 4, 10
    fitted = fit(two_models(wins, ties, losses), ridge=ALMOST_NONE)
    (same, against) = fitted.win_rates_against("a")
    assert same == pytest.approx([0.5] * 3)
    p = (losses + ties / 2) / (wins + ties + losses)
    # By hand as above: the error of ln(p / q).
    scores = losses * (1 - p) ** 2 + ties * (0.5 - p) ** 2 + wins * p**2
    reach = Z_95 * sqrt(scores) / (44 * p * (1 - p))
    logit = log(p / (1 - p))
    expected = [1 / (1 + exp(-logit - shift)) for shift in (0, -reach, reach)]
    assert against == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="not on the board"):
        fitted.win_rates_against("z")
