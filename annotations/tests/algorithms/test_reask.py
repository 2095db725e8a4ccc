"""What is worth asking again, and whether the choice was any good."""

from __future__ import annotations

import random

import numpy as np
import pytest

from annotations.algorithms.reask import Judged, Share, choose, difference, score, useful


def judged(item: int, text: str, outcomes: str = "a", strength: str = "better") -> Judged:
    return Judged(item, text, tuple(outcomes), tuple(strength for _ in outcomes))


def test_what_is_near_a_changed_clause_comes_first() -> None:
    some = [judged(1, "a poem on rain"), judged(2, "repeat the same line"), judged(3, "a sum")]
    scored = score(some, ["Never repeat a line.", "Titles count against it."])
    assert scored[0].item == 2
    assert scored[0].near > 2 * max(one.near for one in scored[1:])


def test_the_score_is_what_the_page_says() -> None:
    one = score([judged(1, "rain", "ab", "slightly")], ["rain"])[0]
    assert one.near == pytest.approx(1)
    assert one.score == pytest.approx((2 + 1 + 2 / 3) / 4)


def test_ties_and_disagreement_come_before_what_is_clear() -> None:
    clear, tied = judged(1, "x", "a", "significantly"), Judged(2, "x", ("tie",), ("",))
    divided, unstated = judged(3, "x", "ab", "significantly"), judged(4, "x", "a", "")
    order = [one.item for one in score([clear, tied, divided, unstated], [])]
    assert order == [2, 3, 4, 1]


def test_nothing_is_near_nothing() -> None:
    assert score([], ["x"]) == []
    assert score([judged(1, "")], ["", "?"])[0].near == 0
    assert useful(score([judged(1, "y")], ["x"])) == 0


def test_the_control_is_drawn_from_the_others() -> None:
    scored = score([judged(n, "x", "a" if n % 2 else "ab") for n in range(40)], [])
    chosen, control = choose(scored, 20, random.Random(3))
    assert {one.item % 2 for one in chosen} == {0}
    assert len(control) == 5
    assert not {one.item for one in chosen} & {one.item for one in control}
    assert choose(scored, 100, random.Random(3))[1] == []


def test_a_change_that_turns_round_what_it_is_about_is_found() -> None:
    """Of 400 comparisons, 60 are about what changed: they flip with 0.6, the others with 0.1."""
    rng = np.random.default_rng(1)
    subjects = ["rain", "frogs", "coffee", "trains", "winter"]
    some = [
        judged(n, f"{subjects[n % 5]} {'title heading above' if n < 60 else 'poem'} {n}")
        for n in range(400)
    ]
    flips = rng.random(400) < np.where(np.arange(400) < 60, 0.6, 0.1)
    chosen, control = choose(score(some, ["A title above is a heading."]), 60, random.Random(1))
    found, by_chance = (
        Share(int(sum(flips[one.item] for one in arm)), len(arm)) for arm in (chosen, control)
    )
    gap = difference(found, by_chance)
    assert gap is not None
    assert gap[1] > 0


def test_shares_of_nothing_are_unknown() -> None:
    assert Share(0, 0).value is None
    assert Share(0, 0).interval == (0.0, 1.0)
    assert difference(Share(0, 0), Share(1, 2)) is None
    low, high = Share(0, 5).interval
    assert (low, round(high, 3)) == (0.0, 0.434)
