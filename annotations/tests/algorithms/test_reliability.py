"""Published values, values by hand, and what is said where nothing can be said."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from annotations.algorithms.reliability import Estimate, Table, ceiling, cohen, tau_b
from annotations.tests.algorithms.test_agreement import FOUR_RATERS

PANDALM = {
    (0, 0, 0): 85, (0, 0, 1): 2, (0, 0, 2): 2, (0, 2, 0): 4, (0, 2, 2): 4, (1, 0, 0): 5,
    (1, 0, 1): 11, (1, 1, 0): 10, (1, 1, 1): 368, (1, 1, 2): 10, (1, 2, 1): 12, (1, 2, 2): 11,
    (2, 0, 0): 7, (2, 0, 2): 4, (2, 1, 1): 11, (2, 1, 2): 18, (2, 2, 0): 2, (2, 2, 1): 7,
    (2, 2, 2): 426,
}  # fmt: skip
"""What three annotators said of 999 pairs (0 a tie), counted: the test set of PandaLM (Wang and
others, arXiv:2306.05087; Apache-2.0), whose paper gives kappas of .85, .88 and .86."""

LLMFAO = {
    (0, 0, 1): 5, (0, 0, 2): 21, (0, 0, 3): 43, (0, 0, 4): 80, (0, 0, 5): 72, (0, 1, 0): 5,
    (0, 1, 1): 22, (0, 1, 2): 50, (0, 1, 3): 64, (0, 1, 4): 47, (0, 2, 0): 15, (0, 2, 1): 28,
    (0, 2, 2): 26, (0, 2, 3): 39, (0, 3, 0): 29, (0, 3, 1): 28, (0, 3, 2): 34, (0, 4, 0): 37,
    (0, 4, 1): 45, (0, 5, 0): 51, (1, 0, 0): 5, (1, 0, 1): 23, (1, 0, 2): 40, (1, 0, 3): 85,
    (1, 0, 4): 64, (1, 1, 0): 15, (1, 1, 1): 31, (1, 1, 2): 48, (1, 1, 3): 61, (1, 2, 0): 35,
    (1, 2, 1): 39, (1, 2, 2): 37, (1, 3, 0): 42, (1, 3, 1): 48, (1, 4, 0): 36, (2, 0, 0): 14,
    (2, 0, 1): 36, (2, 0, 2): 43, (2, 0, 3): 53, (2, 1, 0): 21, (2, 1, 1): 38, (2, 1, 2): 52,
    (2, 2, 0): 22, (2, 2, 1): 37, (2, 3, 0): 28, (3, 0, 0): 45, (3, 0, 1): 26, (3, 0, 2): 54,
    (3, 1, 0): 29, (3, 1, 1): 46, (3, 2, 0): 32, (4, 0, 0): 51, (4, 0, 1): 50, (4, 1, 0): 46,
    (5, 0, 0): 66,
}  # fmt: skip
"""Left, right and tie of 2,139 pairs, counted: LLMFAO's crowd (Ustalov, 2023; CC BY 4.0), who gives
a nominal alpha of .291."""


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def table_of(units: list[list[int]], categories: int, items: list[int] | None = None) -> Table:
    unit = np.repeat(np.arange(len(units)), [len(labels) for labels in units])
    label = np.array([label for labels in units for label in labels], dtype=np.int64)
    item = None if items is None else np.asarray(items)[unit]
    return Table.of(unit, label, categories, item)


def people_of_pandalm() -> np.ndarray:
    return np.repeat(np.array(list(PANDALM)), list(PANDALM.values()), axis=0)


@pytest.mark.parametrize(
    ("first", "second", "published"), [(0, 1, 0.85), (0, 2, 0.88), (1, 2, 0.86)]
)
def test_it_gives_cohens_kappas_of_pandalm(first, second, published, rng):
    said = people_of_pandalm()
    found = cohen(said[:, first], said[:, second], 3, rng)
    assert round(found.value, 2) == published
    assert found.low < found.value < found.high
    assert found.n == 999


def test_it_gives_fleiss_kappa_of_pandalm(rng):
    found = table_of(people_of_pandalm().tolist(), 3).fleiss(rng)
    assert found.value == pytest.approx(0.864, abs=5e-4)
    assert 0.02 < found.high - found.low < 0.06


def test_it_gives_the_alpha_of_8931_votes_with_its_interval(rng):
    counts = np.repeat(np.array(list(LLMFAO)), list(LLMFAO.values()), axis=0).astype(float)
    found = Table(counts, np.arange(len(counts))).alpha(rng)
    assert counts.sum() == 8931
    assert found.value == pytest.approx(0.291, abs=5e-4)
    assert found.low < 0.28 < 0.30 < found.high < found.low + 0.06


@pytest.mark.parametrize(
    ("metric", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_it_gives_krippendorffs_alphas_of_four_raters(metric, published, rng):
    units = [[label - 1 for label in labels] for labels in FOUR_RATERS]
    assert table_of(units, 5).alpha(rng, metric).value == pytest.approx(published, abs=5e-4)


def test_it_gives_fleiss_kappa_of_irrcac_where_some_did_not_answer(rng):
    units = [[label - 1 for label in labels] for labels in FOUR_RATERS]
    assert table_of(units, 5).fleiss(rng).value == pytest.approx(0.76117, abs=1e-5)


def test_it_knows_no_other_metric(rng):
    with pytest.raises(ValueError, match="nominal, ordinal, interval"):
        table_of([[0, 1]], 2).alpha(rng, "ratio")


def test_it_counts_kendalls_tau_b_by_hand(rng):
    # 1 2 3 against 1 3 2: two pairs alike, one not. Against 1 2 2: two alike, one tied there.
    signs = {0: [1, 1, 1], 1: [1, 1, -1], 2: [1, 1, 0]}
    rows = [(0, who, pair, sign) for who in (0, 1) for pair, sign in enumerate(signs[who])]
    rows += [(1, who, pair, sign) for who in (0, 2) for pair, sign in enumerate(signs[who])]
    found = tau_b(*np.array(rows).T, rng)
    assert found.value == pytest.approx((1 / 3 + 2 / math.sqrt(6)) / 2)
    assert found.n == 2


def test_kendalls_tau_b_is_that_of_every_two_people_in_turn(rng):
    generator, rows, expected = np.random.default_rng(5), [], []
    for item, people in enumerate((2, 3, 5)):
        signs = generator.integers(-1, 2, (people, 6))
        rows += [(item, who, pair, sign) for (who, pair), sign in np.ndenumerate(signs)]
        taus = []
        for one, other in combinations(signs, 2):
            length = math.sqrt((one @ one) * (other @ other))
            taus += [(one @ other) / length] if length else []
        expected.append(np.mean(taus))
    shuffled = generator.permutation(np.array(rows))
    assert tau_b(*shuffled.T, rng).value == pytest.approx(np.mean(expected))


def test_a_ranking_that_ties_everything_has_no_tau(rng):
    rows = np.array([(0, 0, 0, 0), (0, 0, 1, 0), (0, 1, 0, 1), (0, 1, 1, 1)])
    assert tau_b(*rows.T, rng) == Estimate(None, None, None, 0)


@pytest.mark.parametrize("units", [[], [[0]], [[0], [1]]])
def test_it_says_nothing_of_what_one_person_alone_judged(units, rng):
    table = table_of(units, 2)
    for found in (table.pairwise(rng), table.fleiss(rng), table.alpha(rng)):
        assert (found.value, found.low, found.high, found.n) == (None, None, None, 0)


def test_all_ties_are_agreed_upon_and_say_nothing_beyond_chance(rng):
    table = table_of([[1, 1], [1, 1, 1]], 2)
    assert table.pairwise(rng).value == 1
    assert table.fleiss(rng).value is None
    assert table.alpha(rng).value is None


def test_the_interval_of_grouped_draws_is_that_of_drawing_each_item(rng):
    generator = np.random.default_rng(1)
    counts = generator.multinomial(3, [0.5, 0.3, 0.2], size=300).astype(float)
    found = Table(counts, np.arange(300)).pairwise(rng)
    agreeing = (counts * (counts - 1)).sum(axis=1) / 6
    drawn = [agreeing[generator.integers(0, 300, 300)].mean() for _ in range(800)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.01)


def test_items_that_are_split_alike_make_no_interval_without_width(rng):
    for units in ([[0, 0, 1]] * 12, [[0, 0], [1, 1], [0, 0]], [[0, 0], [1]]):
        table = table_of(units, 2)
        assert table.fleiss(rng).low is table.alpha(rng).low is None
    split = table_of([[0, 0, 1]] * 12, 2).pairwise(rng)
    assert (split.low, split.high) == pytest.approx((0.138, 0.609), abs=0.001)
    agreed = table_of([[0, 0], [1, 1], [0, 0]], 2).pairwise(rng)
    assert (agreed.low, agreed.high) == pytest.approx((0.438, 1), abs=0.001)
    assert table_of([[0, 0], [1]], 2).pairwise(rng).low is None  # one item alone
    pairs_of_one_ranking = table_of([[0, 0]] * 6, 2, [0, 0, 0, 1, 1, 1]).pairwise(rng)
    assert pairs_of_one_ranking.low == pytest.approx(0.342, abs=0.001)  # of two items, not six


def test_the_interval_holds_the_truth_as_often_as_it_says():
    generator, held = np.random.default_rng(3), 0
    truth = 0.4**2 + 0.6**2
    for _ in range(60):
        counts = generator.multinomial(2, [0.4, 0.6], size=80).astype(float)
        found = Table(counts, np.arange(80)).pairwise(generator)
        held += found.low <= truth <= found.high
    assert held / 60 >= 0.87


def test_units_of_one_item_are_drawn_together(rng):
    units = [[0, 0], [1, 1], [0, 1]] * 40
    units = [unit for unit in units for _ in range(5)]
    alone = table_of(units, 2).alpha(rng)
    together = table_of(units, 2, [number // 5 for number in range(len(units))]).alpha(rng)
    assert together.value == pytest.approx(alone.value)
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_people_who_agree_always_leave_a_model_nothing_to_miss():
    assert ceiling(Estimate(1.0, 1.0, 1.0, 4)).value == 1
    assert ceiling(Estimate(0.4, 0.2, 0.6, 4)).value == 0.5
    assert ceiling(Estimate(None, None, None, 0)).value is None
