"""Bringing two texts together that were made from a third."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.merge import has_conflicts, merge

TEXTS = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=8).map(
    lambda lines: "".join(line + "\n" for line in lines)
)


def test_it_takes_what_either_side_changed_alone() -> None:
    base = "one\ntwo\nthree\nfour\n"
    merged = merge(base, "zero\none\ntwo\nthree\nfour\n", "one\ntwo\nFOUR\n")
    assert merged.text == "zero\none\ntwo\nFOUR\n"
    assert merged.conflicts == 0


def test_it_leaves_to_people_what_both_changed() -> None:
    merged = merge("one\ntwo\nthree\n", "one\nmine\nthree\n", "one\nhers\nthree\n")
    assert merged.conflicts == 1
    assert merged.text == "one\n<<<<<<< yours\nmine\n=======\nhers\n>>>>>>> theirs\nthree\n"
    assert has_conflicts(merged.text)


def test_the_same_change_by_both_is_one_change() -> None:
    assert merge("a\n", "b\n", "b\n").text == "b\n"


@given(TEXTS, TEXTS)
def test_a_side_that_changed_nothing_takes_the_other(base: str, other: str) -> None:
    assert merge(base, base, other).text == other
    assert merge(base, other, base).text == other
    assert merge(base, other, base).conflicts == 0


@given(TEXTS, TEXTS, TEXTS)
def test_it_loses_no_line_that_either_side_added(base: str, mine: str, theirs: str) -> None:
    merged = set(merge(base, mine, theirs).text.splitlines())
    added = (set(mine.splitlines()) | set(theirs.splitlines())) - set(base.splitlines())
    assert added <= merged
