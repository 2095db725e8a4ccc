from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.reliability import Table

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

units_of_labels = st.lists(st.lists(st.integers(0, 2), max_size=5), max_size=12)


def shared_data(name: str) -> Path:
    """Return a file of the shared data; skip where it is not there, but fail in CI."""
    path = DATA / name
    if not path.exists() and not os.environ.get("CI"):
        pytest.skip("The shared data is not here.")
    return path


def table_of(units: list[list[int]]) -> Table:
    unit = np.repeat(np.arange(len(units)), [len(labels) for labels in units])
    labels = np.array([label for labels in units for label in labels], dtype=np.int64)
    return Table.of(unit, labels, 3)


def alpha_of(units: list[list[int]]) -> float | None:
    return table_of(units).alpha(np.random.default_rng(5)).value


def test_it_counts_pairs_by_hand():
    # Unit one: three pairs, one equal. Unit two: one pair, equal. The third was judged once.
    found = table_of([[0, 0, 1], [2, 2], [0]]).pairwise(np.random.default_rng(5))
    assert found.value == 2 / 4


def test_it_computes_alpha_by_hand():
    # Coincidences: 00 2, 01 1, 10 1; n = 4, n_0 = 3, n_1 = 1. alpha = 1 - 3 * 2 / (16 - 10).
    assert alpha_of([[0, 0], [0, 1]]) == pytest.approx(0)


@given(units_of_labels, st.permutations(range(3)), st.randoms())
def test_it_does_not_care_about_order_or_names(units, names, rng):
    turned = [[names[label] for label in rng.sample(unit, len(unit))] for unit in units]
    rng.shuffle(turned)
    expected = alpha_of(units)
    assert alpha_of(turned) == (None if expected is None else pytest.approx(expected))


@given(units_of_labels)
def test_it_is_one_exactly_when_all_agree(units):
    alpha = alpha_of(units)
    if alpha is not None:
        unanimous = all(len(set(unit)) == 1 for unit in units if len(unit) > 1)
        assert (alpha == pytest.approx(1)) == unanimous


def test_it_draws_the_same_interval_from_the_same_seed():
    units = [[0, 1], [1, 1], [2, 2, 0]] * 5
    first, second = (table_of(units).alpha(np.random.default_rng(5)) for _ in range(2))
    assert first == second
