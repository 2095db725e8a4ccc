"""A diff loses nothing and says as little as it must."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.diff import changed_lines, word_diff

TEXTS = st.text(st.sampled_from("ab \n.'é\u202e\r"), max_size=60) | st.text(max_size=40)


@given(TEXTS, TEXTS)
def test_it_is_lossless(old: str, new: str) -> None:
    segments = word_diff(old, new)
    assert "".join(s.text for s in segments if s.op != "new") == old
    assert "".join(s.text for s in segments if s.op != "old") == new
    assert all(segment.text for segment in segments)


@given(TEXTS)
def test_a_text_is_the_same_as_itself(text: str) -> None:
    assert [segment.op for segment in word_diff(text, text)] == (["same"] if text else [])


@given(TEXTS, TEXTS)
def test_no_two_neighbours_say_the_same_thing(old: str, new: str) -> None:
    operations = [segment.op for segment in word_diff(old, new)]
    assert all(one != other for one, other in pairwise(operations))


def test_it_marks_words_not_letters() -> None:
    segments = word_diff("the frog jump\nin", "the toad jump\nin again")
    assert [(s.op, s.text) for s in segments] == [
        ("same", "the "),
        ("old", "frog"),
        ("new", "toad"),
        ("same", " jump\nin"),
        ("new", " again"),
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("very " * 12_000, "very much " * 6_000),
        ("a b " * 5_000, "b a " * 5_000),
        (" ".join(map(str, range(4_000))), " ".join(map(str, range(4_000, 0, -1)))),
    ],
)
def test_it_is_quick_about_long_and_repetitive_texts(old: str, new: str) -> None:
    begun = time.monotonic()
    segments = word_diff(old, new)
    assert time.monotonic() - begun < 10
    assert "".join(s.text for s in segments if s.op != "new") == old


def test_it_shows_the_changed_lines_and_what_is_around_them() -> None:
    old = "\n".join(["# Rules", "", "one", "two", "three", "four", "five", "six"])
    new = old.replace("two", "2").replace("six", "six and seven")
    shown = ["".join(s.text for s in line) for line in changed_lines(word_diff(old, new))]
    assert shown == ["", "one", "two2", "three", "", "five", "six and seven"]


def test_it_has_no_lines_to_show_where_nothing_changed() -> None:
    assert changed_lines(word_diff("a\nb", "a\nb")) == []
    assert changed_lines([]) == []


@given(st.text(alphabet="ab \n", max_size=40), st.text(alphabet="ab \n", max_size=40))
def test_no_changed_word_is_left_out(old: str, new: str) -> None:
    segments = word_diff(old, new)
    for op in ("old", "new"):
        all_words = "".join(s.text for s in segments if s.op == op).split()
        shown = [s.text for line in changed_lines(segments) for s in line if s.op == op]
        assert "".join(shown).replace(" ", "") == "".join(all_words)
