"""From judgements to pairs."""

from __future__ import annotations

from annotations.algorithms.preferences import MARGINS, REWRITE_MARGIN, pair_from_rewrite


def test_a_rewrite_beats_its_original_by_the_least_margin_that_a_stated_strength_has() -> None:
    assert pair_from_rewrite("original", "edited") == ("edited", "original")
    assert min(margin for margin in MARGINS.values() if margin) == REWRITE_MARGIN > 0
