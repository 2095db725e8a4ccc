"""What is counted is what was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.counting import COUNTERS, counts

HAIKU = "An old silent pond\nA frog jumps into the pond\nSplash! Silence again"


def test_it_knows_a_haiku() -> None:
    found = counts(HAIKU, COUNTERS, [5, 7, 5])
    assert found == {
        "characters": 67,
        "words": 13,
        "lines": 3,
        "syllables": [5, 7, 5],
        "fits": True,
    }


@pytest.mark.parametrize("text", ["", "one line", HAIKU + "\nand one more"])
def test_it_says_when_the_lines_do_not_fit(text: str) -> None:
    assert counts(text, ["lines"], [5, 7, 5])["fits"] is False


@given(st.text(max_size=200), st.sets(st.sampled_from(COUNTERS)))
def test_it_counts_what_was_asked_for_in_any_text(text: str, wanted: set[str]) -> None:
    assert counts(text, wanted).keys() == wanted
