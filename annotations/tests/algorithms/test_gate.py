"""The gate as it is used: watched after every vote, at the end, and when evaluated once more."""

from __future__ import annotations

import numpy as np
import pytest

from annotations.algorithms.confidence_sequence import AnytimeInterval
from annotations.algorithms.gate import Contest, deciding, so_far
from annotations.algorithms.winrate import WinRate, win_rate
from annotations.tests.algorithms.test_confidence_sequence import EXPERIMENTS, first_promotions

VOTES = 200
"""Of one evaluation, each on a prompt of its own."""


def contest(scores: list[float], *, seen: int | None = None, first: int = 0) -> Contest:
    """Return an evaluation of which so many votes are in, as the gate is told of it."""
    seen = len(scores) if seen is None else seen
    prompts = range(first, first + len(scores))
    return Contest(
        judged=list(zip(prompts, scores, strict=True))[:seen],
        asked=prompts,
        unfinished=prompts[seen:],
        is_complete=seen == len(scores),
    )


def looks_until_open(scores: np.ndarray) -> np.ndarray:
    """Return after how many votes each row opens the gate; 0 if never.

    It is watched after every vote. The first VOTES are one evaluation, whose end is a look of its
    own; further ones are another evaluation of the same two, which makes all one sequence.
    """
    opened = first_promotions(scores)
    at_the_end = np.array(
        [win_rate(list(enumerate(row))).low > 0.5 for row in scores[:, :VOTES].tolist()]
    )
    late = (opened == 0) | (opened > VOTES)
    opened[late & at_the_end] = VOTES
    return opened


def test_the_simulation_opens_the_gate_when_the_gate_opens() -> None:
    scores = (np.random.default_rng(21).random((6, VOTES)) < 0.65).astype(float)
    for row, opened in zip(scores.tolist(), looks_until_open(scores), strict=True):
        assert opened
        assert deciding([contest(row, seen=int(opened))]).low > 0.5
        assert deciding([contest(row, seen=int(opened) - 1)]).low <= 0.5


def test_at_most_one_in_twenty_equally_good_children_passes_the_gate() -> None:
    """1,000 A/A experiments: two evaluations each, watched after every vote."""
    scores = np.random.default_rng(22).integers(0, 2, (EXPERIMENTS, 2 * VOTES)).astype(float)
    passed = np.count_nonzero(looks_until_open(scores))
    assert 0 < passed <= 0.05 * EXPERIMENTS


def test_a_better_child_passes_the_gate_after_as_many_votes_as_the_decision_states() -> None:
    """A child that wins 60 % of votes; docs/decisions/0019 has the same numbers."""
    scores = (np.random.default_rng(23).random((EXPERIMENTS, 2 * VOTES)) < 0.6).astype(float)
    opened = looks_until_open(scores)
    assert np.count_nonzero(opened) == pytest.approx(890, abs=30)
    assert np.median(np.where(opened, opened, 9999)) == pytest.approx(VOTES, abs=10)
    assert np.count_nonzero((opened > 0) & (opened < VOTES)) == pytest.approx(500, abs=30)


def test_the_end_is_a_look_of_its_own_for_the_first_evaluation_alone() -> None:
    rows = [1.0] * 60 + [0.0] * 40
    first, second = contest(rows), contest(rows[:2], seen=0, first=100)
    assert isinstance(deciding([first]), WinRate)
    assert isinstance(deciding([first, second]), AnytimeInterval)
    assert deciding([first, second]) == so_far([first]) != deciding([first])
