"""Time without idle gaps, and money without broken cents."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.pay import (
    IDLE_MS,
    Sign,
    active_ms,
    amount_micros,
    to_cents,
    to_micros,
)

LOG: list[tuple[int, Sign]] = [
    (1_000, "seen"),
    (3_500, "sign"),  # 2.5 s
    (12_000, "sign"),  # 8.5 s
    (312_000, "sign"),  # five minutes of idling: 30 s
    (312_400, "sign"),  # 0.4 s
    (320_000, "hidden"),  # 7.6 s
    (400_000, "sign"),  # out of sight, by another window: nothing
    (900_000, "seen"),
    (930_000, "sign"),  # exactly half a minute: 30 s
    (960_001, "sign"),  # a millisecond more: 30 s
    (961_000, "hidden"),  # 0.999 s
]
"""A recorded log with planted gaps: 109.999 s at work in sixteen minutes."""


def test_a_recorded_log_with_idle_gaps_gives_exact_seconds_and_cents() -> None:
    active = active_ms(LOG)
    assert active == 109_999
    earned = amount_micros(active, per_item=0, per_hour=15_000_000)
    assert earned == 458_329  # 109.999 s / 3600 s × 15
    assert to_cents(earned) == Decimal("0.46")
    assert to_cents(1000 * earned) == Decimal("458.33")


def test_a_log_without_an_end_or_a_beginning_counts_nothing_beyond_its_signs() -> None:
    assert active_ms([]) == 0
    assert active_ms([(5, "sign"), (9_000, "sign")]) == 0
    assert active_ms([(5, "seen")]) == 0
    assert active_ms([(9_000, "seen"), (5_000, "sign"), (6_000, "hidden")]) == 1_000


@given(st.lists(st.tuples(st.integers(0, 200_000), st.sampled_from(["seen", "sign", "hidden"]))))
def test_active_time_is_never_more_than_has_passed_nor_than_its_gaps_allow(
    events: list[tuple[int, Sign]],
) -> None:
    log = sorted(events, key=lambda event: event[0])
    gaps = [min(later - earlier, IDLE_MS) for (earlier, _), (later, _) in pairwise(log)]
    assert 0 <= active_ms(log) <= sum(gaps)


@given(st.lists(st.integers(0, 3_600_000), max_size=30), st.integers(0, 100_000_000))
def test_the_sum_of_entries_is_off_by_half_a_micro_an_entry_at_most(
    times: list[int], per_hour: int
) -> None:
    entries = sum(amount_micros(ms, per_item=0, per_hour=per_hour) for ms in times)
    exact = Decimal(sum(times)) * per_hour / 3_600_000
    assert abs(entries - exact) <= Decimal(len(times)) / 2


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_an_item_earns_whichever_rate_comes_to_more(
    active: int, per_item: int, per_hour: int
) -> None:
    earned = amount_micros(active, per_item=per_item, per_hour=per_hour)
    assert earned == max(
        amount_micros(active, per_item=per_item, per_hour=0),
        amount_micros(active, per_item=0, per_hour=per_hour),
    )


def test_nobody_pays_to_work() -> None:
    with pytest.raises(ValueError, match="below zero"):
        amount_micros(-1, per_item=0, per_hour=1)


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=2))
def test_whole_cents_go_through_micros_unchanged(amount: Decimal) -> None:
    assert to_cents(to_micros(amount)) == amount
