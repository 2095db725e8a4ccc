from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.prompts import (
    TRAIN_PERCENT,
    VALIDATION_PERCENT,
    content_hash,
    last_user_text,
    split_for,
)
from annotations.algorithms.text import TextError, check_text, same_words, unix_newlines


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "<script>alert(1)</script>",
        "safe\u202egnp.exe",
        "zero\u200bwidth",
        "\ufeffmark",
        "line\u2028separator",
        "俳句 🐸",
        "a\r\nb",
    ],
)
def test_it_keeps_what_can_be_kept_as_it_is(text):
    assert check_text(text, field="The text", max_chars=100) == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_it_keeps_every_text_that_utf_8_can_say(text):
    assert check_text(text, field="The text", max_chars=10_000) == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("frog\x00", "NUL character in line 1. Remove it"),
        ("a\nb\ud83d", "half a character (lone surrogate U+D83D) in line 2. Remove it"),
        ("x" * 5_000_000, "The text is 5,000,000 characters long, and at most 100 fit. Shorten"),
    ],
)
def test_it_refuses_with_a_sentence_that_says_what_to_do(text, sentence):
    with pytest.raises(TextError) as caught:
        check_text(text, field="The text", max_chars=100)
    assert sentence in str(caught.value)


def test_it_makes_the_line_endings_of_browsers_plain():
    assert unix_newlines("a\r\nb\rc\nd") == "a\nb\nc\nd"


def test_it_tells_texts_apart_by_their_words_alone():
    assert same_words("old pond\n a frog") == same_words(" old pond a  frog")
    assert same_words("old pond") != same_words("Old pond")


def test_it_hashes_messages_by_their_content_alone():
    one = content_hash([{"role": "user", "content": "a"}])
    assert one == content_hash([{"content": "a", "role": "user"}])
    assert one != content_hash([{"role": "user", "content": "a "}])
    assert one != content_hash([{"role": "system", "content": "a"}])


def test_it_divides_prompts_by_their_hash_in_the_stated_shares():
    counts = {"train": 0, "validation": 0, "test": 0}
    for number in range(3000):
        counts[split_for(content_hash([{"role": "user", "content": str(number)}]))] += 1
    assert counts["train"] / 3000 == pytest.approx(TRAIN_PERCENT / 100, abs=0.03)
    assert counts["validation"] / 3000 == pytest.approx(VALIDATION_PERCENT / 100, abs=0.02)


@pytest.mark.parametrize(
    ("percent", "split"),
    [
        (0, "train"),
        (TRAIN_PERCENT - 1, "train"),
        (TRAIN_PERCENT, "validation"),
        (TRAIN_PERCENT + VALIDATION_PERCENT - 1, "validation"),
        (TRAIN_PERCENT + VALIDATION_PERCENT, "test"),
        (99, "test"),
    ],
)
def test_it_draws_the_line_between_splits_where_it_says(percent, split):
    assert split_for(f"{percent:08x}" + "f" * 56) == split


def test_it_shows_the_last_thing_that_the_user_said():
    turns = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "answer"},
        {"role": "user", "content": "last"},
    ]
    assert last_user_text(turns) == "last"
