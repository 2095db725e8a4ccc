"""Parts are spans of their text: in order, apart, and together all that is not blank."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.parts import joined, overlap, parts_of

TEXTS = st.text(st.sampled_from("ab .!?\n\t”。"), max_size=80) | st.text(max_size=60)


@given(TEXTS)
def test_parts_are_spans_in_order_and_apart(text: str) -> None:
    end = 0
    for part in parts_of(text):
        assert end <= part.start < part.end
        assert part.text == text[part.start : part.end] == part.text.strip()
        end = part.end
    assert end <= len(text)


@given(TEXTS)
def test_only_white_space_belongs_to_no_part(text: str) -> None:
    rest = list(text)
    for part in parts_of(text):
        rest[part.start : part.end] = " " * (part.end - part.start)
    assert not "".join(rest).strip()


@given(TEXTS)
def test_all_parts_in_their_order_say_what_the_text_says(text: str) -> None:
    assert "".join(joined(parts_of(text)).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one\n\n two \nthree", ["one", "two", "three"]),
        ("First. Second! Third", ["First.", "Second!", "Third"]),
        ("He said “Go.” She went… J. S. Bach", ["He said “Go.”", "She went…", "J. S. Bach"]),
        ("So did I. We left.", ["So did I.", "We left."]),
        ("It costs 3.50 euros. Cheap.", ["It costs 3.50 euros.", "Cheap."]),
        ("雨です。外に出ません。", ["雨です。", "外に出ません。"]),
        ("x" * 81 + ". End.\nNext.", ["x" * 81 + ".", "End.", "Next."]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_it_finds_lines_of_verse_and_sentences_of_prose(text: str, parts: list[str]) -> None:
    assert [part.text for part in parts_of(text)] == parts


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 9), st.integers(1, 5)), max_size=5))
def test_it_knows_which_spans_share_a_character(found: list[tuple[int, int, int]]) -> None:
    spans = [(source, start, start + length) for source, start, length in found]
    characters = [(source, at) for source, start, end in spans for at in range(start, end)]
    assert overlap(spans) == (len(characters) != len(set(characters)))


@pytest.mark.parametrize("count", [99, 100, 101, 1_000])
def test_a_long_text_has_fewer_and_larger_parts(count: int) -> None:
    parts = parts_of("\n".join(f"line {number}" for number in range(count)))
    assert 50 <= len(parts) <= 100
    assert parts[-1].text.endswith(f"line {count - 1}")
