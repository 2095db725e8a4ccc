"""Two versions of a text beside each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.paragraphs import paragraphs, side_by_side

TEXTS = st.lists(
    st.lists(st.sampled_from(["frog", "pond", "old", "a\nleap"]), min_size=1, max_size=5).map(
        " ".join
    ),
    max_size=6,
).map("\n\n".join)


def test_it_puts_versions_of_one_paragraph_in_one_row() -> None:
    old = "Read both.\n\nCount the syllables of each line.\n\nBe fair."
    new = "Read both.\n\nA new rule.\n\nCount the syllables of every line.\n\nBe fair."
    rows = side_by_side(old, new)
    assert [row.op for row in rows] == ["same", "new", "changed", "same"]
    assert [(s.op, s.text) for s in rows[2].after if s.op == "new"] == [("new", "every")]


def test_empty_texts_have_no_rows() -> None:
    assert side_by_side("", " \n\n ") == []
    assert [row.op for row in side_by_side("", "a")] == ["new"]


def test_a_long_rewrite_is_compared_within_bounds() -> None:
    old = "\n\n".join(f"old {n}" for n in range(600))
    new = "\n\n".join(f"new {n}" for n in range(600))
    assert len(side_by_side(old, new)) == 1200


@given(TEXTS, TEXTS)
def test_each_side_of_the_rows_is_its_text(old: str, new: str) -> None:
    rows = side_by_side(old, new)
    before = ["".join(s.text for s in row.before) for row in rows if row.before]
    after = ["".join(s.text for s in row.after) for row in rows if row.after]
    assert (before, after) == (paragraphs(old), paragraphs(new))
