"""What tells who somebody is, is found; numbers and signs that tell nothing are not."""

from __future__ import annotations

import time

import pytest

from annotations.algorithms.personal_data import personal_data


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to first.last+tag@mail.example.co.uk!", {"mail address"}),
        ("Call (555) 123-4567 or 555.123.4567", {"phone number"}),
        ("+1 (212) 555-0199", {"phone number"}),
        ("5500-0000-0000-0004", {"card number"}),
        ("IBAN: GB82 WEST 1234 5698 7654 32 PLEASE", {"bank account"}),
        ("Her number is 219-09-9999.", {"social security number"}),
    ],
)
def test_it_finds_what_has_a_form_of_its_own(text: str, expected: set[str]) -> None:
    assert personal_data(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the old pond / a frog leaps in @ dawn",
        "2024-05-17 12:30:59, build 1.22.333.4444",
        "3.14159265358979323846 and 1234567890123",
        "GB82 WEST 1234 5698 7654 33",
        "def f(x): return x@y  # matrices",
        "000-12-3456",
    ],
)
def test_it_finds_nothing_where_nothing_is(text: str) -> None:
    assert personal_data(text) == set()


def test_hostile_texts_take_no_time() -> None:
    started = time.process_time()
    for text in ("a" * 100_000, "1" * 100_000, "1 " * 50_000, "AA11" * 25_000, "a@" * 50_000):
        personal_data(text)
    assert time.process_time() - started < 2
