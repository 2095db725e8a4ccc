from __future__ import annotations

import numpy as np
import pytest

from annotations.algorithms.battles import Battles

ROWS = [("a", "b", "left"), ("b", "a", "left"), ("a", "b", "tie"), ("c", "a", "right")]


def test_it_counts_wins_with_ties_as_half():
    battles = Battles.of(ROWS)
    assert battles.models == ("a", "b", "c")
    assert battles.win_matrix().tolist() == [[0, 1.5, 1], [1.5, 0, 0], [0, 0, 0]]
    assert battles.tie_matrix().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert battles.fought().tolist() == [4, 3, 1]


def test_it_gives_the_share_of_wins_only_where_two_models_met():
    fractions = Battles.of(ROWS).win_fractions()
    np.testing.assert_equal(
        fractions, [[np.nan, 0.5, 1], [0.5, np.nan, np.nan], [0, np.nan, np.nan]]
    )


def test_it_leaves_out_what_says_nothing_but_keeps_the_models():
    battles = Battles.of(
        [("a", "b", "both_bad"), ("c", "c", "left"), ("a", "b", "right")],
        models=["z"],
        style=[[1.0], [2.0], [3.0]],
        clusters=["p", "q", "r"],
    )
    assert battles.models == ("z", "a", "c", "b")
    assert battles.score.tolist() == [0]
    assert battles.style.tolist() == [[3]]
    assert battles.cluster is not None
    assert battles.cluster.tolist() == [2]


def test_it_is_the_same_however_battles_are_grouped_and_whichever_side_they_were_on():
    grouped = Battles.of(
        [("a", "b", "left"), ("b", "a", "right"), ("a", "b", "tie"), ("b", "a", "tie")],
        counts=[3, 2, 1, 4],
    )
    together = grouped.aggregated()
    assert together.count.tolist() == [5, 5]
    assert together.score.tolist() == [0.5, 1]
    assert together.win_matrix().tolist() == grouped.win_matrix().tolist() == [[0, 7.5], [2.5, 0]]


def test_it_keeps_battles_apart_that_style_or_clusters_tell_apart():
    rows = [("a", "b", "left")] * 2
    assert len(Battles.of(rows).aggregated().score) == 1
    assert len(Battles.of(rows, style=[[1.0], [2.0]]).aggregated().score) == 2
    assert len(Battles.of(rows, clusters=[1, 2]).aggregated().score) == 2


def test_it_is_empty_without_battles():
    battles: Battles[str] = Battles.of([]).aggregated()
    assert battles.models == ()
    assert battles.win_fractions().shape == (0, 0)
    assert np.isnan(Battles.of([], models="ab").win_fractions()).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"counts": [1]}, "one count a row"),
        ({"counts": [1, -1]}, "none of them below 0"),
        ({"style": [1.0, 2.0]}, "a row for each of the 2 battles"),
        ({"style": [[1.0], [float("nan")]]}, "finite"),
        ({"clusters": ["p"]}, "one cluster a battle"),
    ],
)
def test_it_refuses_what_does_not_go_with_the_rows(given, message):
    with pytest.raises(ValueError, match=message):
        Battles.of([("a", "b", "left"), ("a", "b", "tie")], **given)


def test_it_refuses_an_unknown_outcome():
    with pytest.raises(ValueError, match="not 'won'"):
        Battles.of([("a", "b", "won")])


def test_it_finds_the_islands():
    rows = [("a", "b", "left"), ("b", "c", "tie"), ("d", "e", "right"), ("a", "e", "both_bad")]
    islands = Battles.of(rows, models="fabcde").islands()
    assert islands == [("a", "b", "c"), ("d", "e"), ("f",)]
    assert Battles.of([]).islands() == []
