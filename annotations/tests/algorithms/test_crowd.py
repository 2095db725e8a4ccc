"""What is found again of simulated crowds whose skills, sides and mistakes are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from annotations.algorithms.crowd import FIRST, SECOND, TIE, Crowd, Votes, fit


@dataclass(frozen=True)
class Simulated:
    votes: Votes
    ahead: np.ndarray  # (P,) of the first over the second
    skill: np.ndarray  # (A,)
    flipped: np.ndarray  # (N,)


def simulated(
    *,
    seed: int = 0,
    skill: np.ndarray,
    pairs: int = 500,
    overlap: int = 5,
    bias: np.ndarray | float = 0.0,
    flips: float = 0.0,
    ties: float = -1.5,
    ahead: np.ndarray | None = None,
) -> Simulated:
    rng = np.random.default_rng(seed)
    ahead = rng.normal(size=pairs) if ahead is None else ahead
    pair = np.repeat(np.arange(pairs), overlap)
    person = np.argsort(rng.random((pairs, len(skill))), axis=1)[:, :overlap].ravel()
    side = rng.choice([-1, 1], len(pair))
    z = skill[person] * ahead[pair] + side * np.broadcast_to(bias, skill.shape)[person]
    energy = np.stack([z / 2, -z / 2, np.full(len(z), ties)])
    choice = (energy + rng.gumbel(size=energy.shape)).argmax(axis=0)
    flipped = (rng.random(len(pair)) < flips) & (choice != TIE)
    choice = np.where(flipped, 1 - choice, choice)
    return Simulated(Votes(pair, person, choice, side, np.ones(pairs)), ahead, skill, flipped)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


def majority(votes: Votes, pairs: int) -> np.ndarray:
    """Return 1 where the first has most votes, 0 where the second, one half where neither."""
    ahead = np.bincount(votes.pair, votes.choice == FIRST, minlength=pairs)
    ahead -= np.bincount(votes.pair, votes.choice == SECOND, minlength=pairs)
    return (np.sign(ahead) + 1) / 2


def right_of(chance: np.ndarray, ahead: np.ndarray) -> float:
    """Return the share of pairs whose better one is known; one half is half right."""
    called = np.where(chance == 0.5, 0.5, chance > 0.5)
    return float(np.abs(called - (ahead < 0)).mean())


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    ranks = np.argsort(np.argsort(score)) + 1
    n = positive.sum()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (~positive).sum()))


SPAMMERS = np.concatenate([np.linspace(1.0, 6.0, 20), np.zeros(8), [-2.0, -1.0]])
"""Twenty who know something, eight who press anything, two who prefer what is worse."""


@pytest.fixture(scope="module")
def crowd() -> tuple[Simulated, Crowd]:
    made = simulated(skill=SPAMMERS, pairs=600)
    return made, fit(made.votes)


def test_it_finds_skills_again(crowd):
    made, found = crowd
    assert rank_correlation(found.parameters[:, 0], made.skill) > 0.9


def test_it_knows_the_better_one_more_often_than_the_majority(crowd):
    made, found = crowd
    of_majority = right_of(majority(made.votes, 600), made.ahead)
    assert right_of(found.better(), made.ahead) > of_majority + 0.03


def test_no_step_makes_it_less_likely(crowd):
    _, found = crowd
    assert len(found.trace) > 5
    assert (np.diff(found.trace) > -1e-6).all()


def test_spammers_teach_little(crowd):
    made, found = crowd
    helpful = np.bincount(made.votes.pair, made.skill[made.votes.person] > 2, minlength=600)
    told = found.information()
    assert ((told >= 0) & (told <= 1)).all()
    assert told[helpful >= 4].mean() > told[helpful <= 1].mean() + 0.1


def test_suspicion_finds_planted_flips():
    made = simulated(seed=4, skill=np.linspace(3, 6, 12), flips=0.1)
    found = fit(made.votes)
    assert auc(found.suspicion(), made.flipped) > 0.8


def test_it_finds_who_prefers_a_side():
    bias = np.array([1.5, -1.0] + [0.0] * 10)
    made = simulated(seed=5, skill=np.full(12, 3.0), bias=bias)
    people = fit(made.votes).people()
    assert people[0].left_low > 0.5
    assert people[1].left_high < 0.5
    truth = 1 / (1 + np.exp(-bias))
    held = [p.left_low <= t <= p.left_high for p, t in zip(people, truth, strict=True)]
    assert sum(held) >= 10


def test_a_linear_reward_learns_more_from_it_than_from_the_majority():
    """Both are taught by the same votes and measured on pairs that nobody judged."""
    gains = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=12) / np.sqrt(12)
        shown, held_out = rng.normal(size=(300, 12)), rng.normal(size=(2000, 12))
        skill = np.array([4.0] * 5 + [0.0] * 9 + [-1.5])
        made = simulated(seed=seed, skill=skill, overlap=3, pairs=300, ahead=shown @ truth)
        found = fit(made.votes)
        plain = majority(made.votes, 300)
        ours = rewarded(shown, found.target(), found.information())
        theirs = rewarded(shown, plain, (plain != 0.5).astype(float))
        correct = [((held_out @ w > 0) == (held_out @ truth > 0)).mean() for w in (ours, theirs)]
        gains.append(correct[0] - correct[1])
    assert np.mean(gains) > 0.03
    assert min(gains) > -0.01


def rewarded(shown: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weights of a linear reward by gradient descent on the pairwise loss."""
    weight = weight / weight.mean()
    w = np.zeros(shown.shape[1])
    for _ in range(100):
        residual = 1 / (1 + np.exp(-shown @ w)) - target
        w -= 1.0 * (shown.T @ (weight * residual) / len(shown) + 0.02 * w)
    return w


def test_it_says_the_same_whichever_completion_is_called_first():
    made = simulated(seed=2, skill=np.linspace(0, 4, 6), pairs=60, overlap=3).votes
    turned = Votes(made.pair, made.person, np.array([1, 0, 2])[made.choice], -made.side,
                   made.weight)  # fmt: skip
    here, there = fit(made), fit(turned)
    assert here.parameters == pytest.approx(there.parameters, abs=1e-8)
    assert here.better() == pytest.approx(1 - there.better(), abs=1e-8)


@pytest.mark.parametrize("choice", [FIRST, TIE])
def test_where_everybody_always_says_one_thing_all_stays_finite(choice):
    pair, person = np.repeat(np.arange(20), 3), np.tile(np.arange(3), 20)
    side = np.ones(60, dtype=np.int64)
    found = fit(Votes(pair, person, np.full(60, choice), side, np.ones(20)))
    assert np.isfinite(found.parameters).all()
    assert np.isfinite(found.errors).all()
    assert found.better() == pytest.approx(0.5 if choice == TIE else found.better()[0])


def test_one_person_alone_is_believed_a_little():
    one = np.zeros(1, dtype=np.int64)
    found = fit(Votes(one, one, one + FIRST, one, np.ones(1)))
    assert 0.7 < found.better()[0] < 0.9
    assert 0.5 < found.target()[0] < found.better()[0]


def test_a_cycle_of_preferences_is_three_pairs():
    pair = np.repeat(np.arange(3), 2)
    found = fit(Votes(pair, np.tile([0, 1], 3), np.zeros(6, int), np.zeros(6, int), np.ones(3)))
    assert (found.better() > 0.8).all()


def test_without_votes_nothing_is_known():
    none = np.zeros(0, dtype=np.int64)
    found = fit(Votes(none, none, none, none, np.zeros(0)))
    assert found.people() == []
    assert len(found.target()) == 0
