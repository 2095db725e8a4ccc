"""Shares and their intervals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.shares import wilson


def test_it_agrees_with_published_intervals() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    for count, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        share = wilson(count, n)
        assert (share.low, share.high) == (
            pytest.approx(low, abs=1e-4),
            pytest.approx(high, abs=1e-4),
        )


def test_of_nothing_everything_is_possible() -> None:
    share = wilson(0, 0)
    assert (share.share, share.percent, share.low, share.high) == (None, None, 0.0, 1.0)
    assert not share.excludes(0.5)
    with pytest.raises(ValueError, match="whole"):
        wilson(2, 1)


@given(st.integers(0, 500), st.integers(0, 500))
def test_what_is_mirrored_has_the_mirrored_interval(part: int, rest: int) -> None:
    share, mirrored = wilson(part, part + rest), wilson(rest, part + rest)
    assert share.low == pytest.approx(1 - mirrored.high, abs=1e-12)
    assert share.low <= (share.share or 0) <= share.high
