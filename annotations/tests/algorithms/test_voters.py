from __future__ import annotations

from math import prod

import numpy as np
import pytest

from annotations.algorithms.voters import voter_reports


def reports(*votes):
    """Return the reports of (voter, pair, vote) triples."""
    voter, pair, vote = (np.array(column) for column in zip(*votes, strict=True))
    return voter_reports(voter, pair, vote.astype(float))


def by_hand(voter, votes):
    """Return the largest odds against a voter as the definition has them, vote by vote."""
    upper, lower, best = [], [], 0.0
    for who, pair, vote in votes:
        if who != voter:
            continue
        decided = [v for _, p, v in votes if p == pair and v != 0.5] + [0.5] * (vote == 0.5)
        upper.append(sum(v <= vote for v in decided) / len(decided))
        lower.append(sum(v >= vote for v in decided) / len(decided))
        best = max(best, prod(1 / (2 * p) for p in upper), prod(1 / (2 * p) for p in lower))
    return best


def test_it_multiplies_the_odds_of_each_vote():
    rng = np.random.default_rng(5)
    voters, pairs = rng.integers(0, 6, 80).tolist(), rng.integers(0, 4, 80).tolist()
    votes = list(zip(voters, pairs, rng.choice([0.0, 0.5, 1.0], 80).tolist(), strict=True))
    for voter, report in enumerate(reports(*votes)):
        assert report.odds == pytest.approx(by_hand(voter, votes))


def test_it_flags_whoever_votes_against_all_others():
    others = [(0, 7, 1)] * 30 + [(1, 7, 1)] * 30
    against = reports(*others, *[(2, 7, 0)] * 5)[2]
    # 5 of 65 lose: odds of 6.5 with each vote, 42 after two.
    assert against.flagged_after == 2
    assert against.agreement == 0
    assert reports(*others, *[(2, 7, 1)] * 5)[2].flagged_after is None


def test_it_does_not_test_fewer_than_five_votes():
    others = [(0, 7, 1)] * 60
    assert reports(*others, *[(1, 7, 0)] * 4)[1].flagged_after is None
    assert reports(*others, *[(1, 7, 0)] * 5)[1].flagged_after is not None


def test_it_looks_at_the_first_hundred_votes():
    others = [(0, 7, 1)] * 300
    late = reports(*others, *[(1, 7, 1)] * 100, *[(1, 7, 0)] * 20)[1]
    assert late.flagged_after is None
    assert late.votes == 120


def test_one_tie_among_clear_votes_flags_nobody():
    found = reports(*[(0, 7, 1)] * 15, *[(1, 7, 1)] * 4, (1, 7, 0.5))[1]
    assert found.flagged_after is None
    assert found.agreement == 1


def test_it_flags_few_of_those_who_vote_alike():
    rng = np.random.default_rng(1)
    voters, pairs = np.repeat(np.arange(200), 30), rng.integers(0, 10, 6000)
    vote = (rng.random(6000) < np.linspace(0.4, 0.7, 10)[pairs]).astype(float)
    flagged = [one for one in voter_reports(voters, pairs, vote) if one.flagged_after]
    assert len(flagged) <= 10


def test_it_reports_nobody_without_votes():
    nothing = np.empty(0, dtype=np.int64)
    assert voter_reports(nothing, nothing, np.empty(0)) == []
    alone = reports((0, 1, 1))[0]
    assert (alone.agreement, alone.flagged_after) == (None, None)
