from __future__ import annotations

import csv
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.agreement import agreement, krippendorff_alpha, pairwise_agreement

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"

# Four raters, twelve units, some left out: Krippendorff (2011), and `cac.raw4raters` of irrCAC.
FOUR_RATERS = [
    [1, 1, 1],
    [2, 2, 3, 2],
    [3, 3, 3, 3],
    [3, 3, 3, 3],
    [2, 2, 2, 2],
    [1, 2, 3, 4],
    [4, 4, 4, 4],
    [1, 1, 2, 1],
    [2, 2, 2, 2],
    [5, 5, 5],
    [1, 1],
    [3],
]

units_of_labels = st.lists(st.lists(st.sampled_from("abc"), max_size=5), max_size=12)


def shared_data(name: str) -> Path:
    """Return a file of the shared data; skip where it is not there, but fail in CI."""
    path = DATA / name
    if not path.exists() and not os.environ.get("CI"):
        pytest.skip("The shared data is not here.")
    return path


def test_it_gives_the_published_alpha_of_four_raters():
    assert krippendorff_alpha(FOUR_RATERS) == pytest.approx(0.74342, abs=1e-5)


def test_it_gives_the_published_alpha_of_8931_crowd_votes():
    votes = defaultdict(list)
    with shared_data("llmfao/crowd-comparisons.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            votes[row["id"]].append(row["winner"])
    result = agreement(list(votes.values()), rng=np.random.default_rng(1), resamples=200)
    assert result.alpha == pytest.approx(0.291, abs=5e-4)
    assert result.alpha_low is not None
    assert result.alpha_high is not None
    assert result.alpha_low < result.alpha < result.alpha_high
    assert result.alpha_high - result.alpha_low < 0.06


def test_it_counts_pairs_by_hand():
    # Unit one: three pairs, one equal. Unit two: one pair, equal. The third was judged once.
    assert pairwise_agreement([["a", "a", "b"], ["c", "c"], ["a"]]) == 2 / 4


def test_it_computes_alpha_by_hand():
    # Coincidences: aa 2, ab 1, ba 1; n = 4, n_a = 3, n_b = 1. alpha = 1 - 3 * 2 / (16 - 10).
    assert krippendorff_alpha([["a", "a"], ["a", "b"]]) == pytest.approx(0)


@pytest.mark.parametrize("units", [[], [["a"]], [["a"], []]])
def test_it_says_nothing_when_nothing_was_judged_twice(units):
    result = agreement(units, rng=np.random.default_rng(0))
    assert (result.units, result.pairwise, result.alpha, result.alpha_low) == (0, None, None, None)


def test_it_leaves_alpha_undefined_when_only_one_label_was_ever_given():
    result = agreement([["a", "a"], ["a", "a"]], rng=np.random.default_rng(0))
    assert result.pairwise == 1
    assert result.alpha is None


@given(units_of_labels, st.randoms())
def test_it_does_not_care_about_order_or_names(units, rng):
    turned = [[label.upper() for label in rng.sample(unit, len(unit))] for unit in units]
    rng.shuffle(turned)
    expected = krippendorff_alpha(units)
    assert krippendorff_alpha(turned) == (None if expected is None else pytest.approx(expected))


@given(units_of_labels)
def test_it_is_one_exactly_when_all_agree(units):
    alpha = krippendorff_alpha(units)
    if alpha is not None:
        unanimous = all(len(set(unit)) == 1 for unit in units if len(unit) > 1)
        assert (alpha == pytest.approx(1)) == unanimous


def test_it_draws_the_same_interval_from_the_same_seed():
    first, second = (agreement(FOUR_RATERS, rng=np.random.default_rng(5)) for _ in range(2))
    assert first == second


def test_it_widens_the_interval_when_units_hang_together():
    rng = np.random.default_rng(3)
    kinds = [["a", "a"], ["b", "b"], ["a", "b"]]
    units = [kinds[choice] for choice in rng.integers(0, 3, 60) for _ in range(5)]
    clusters = [number // 5 for number in range(len(units))]
    alone = agreement(units, rng=np.random.default_rng(0))
    together = agreement(units, rng=np.random.default_rng(0), clusters=clusters)
    assert together.alpha == alone.alpha
    assert together.alpha_high - together.alpha_low > 1.5 * (alone.alpha_high - alone.alpha_low)
