"""What work comes to: time without its idle gaps, and money without broken cents.

Money is counted in micros, millionths of a currency unit, because a minute of an hourly rate is
seldom whole cents. One entry is rounded to the nearest micro (a half goes up); sums are exact, and
only what is shown is rounded, once, to cents. A thousand items of eight cents and a third are thus
83.33 and not 83.00.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

IDLE_MS = 30_000
"""How long after a sign of life a person still is at work; as static/js/activity.js counts it."""

MICROS = 1_000_000
"""In one unit of a currency."""

MS_PER_HOUR = 3_600_000
CENT = Decimal("0.01")

Sign = Literal["seen", "sign", "hidden"]
"""The page came in sight, the person did something, the page went out of sight or was sent."""


def active_ms(events: Iterable[tuple[int, Sign]]) -> int:
    """Return the milliseconds at work in a log of (milliseconds, what happened), in their order.

    A gap between two signs of life counts for half a minute at most; time out of sight counts for
    nothing. What follows the last sign counts for nothing either: a log ends as the page is sent,
    which is `hidden`.

    >>> active_ms([(0, "seen"), (5_000, "sign"), (95_000, "sign"), (97_000, "hidden")])
    37000
    """
    total, last = 0, None
    for moment, sign in events:
        if last is not None:
            total += max(0, min(moment - last, IDLE_MS))
        if sign == "hidden":
            last = None
        elif sign == "seen" or last is not None:
            last = moment
    return total


def amount_micros(active: int, *, per_item: int, per_hour: int) -> int:
    """Return what one answer earns: the rate for an item or that for its time, whichever is more.

    So a rate per item has a floor for those whom the work keeps longer, and a rate per hour may
    have one for each item.

    >>> amount_micros(90_000, per_item=300_000, per_hour=15_000_000)
    375000
    >>> amount_micros(20_000, per_item=300_000, per_hour=15_000_000)
    300000
    """
    if min(active, per_item, per_hour) < 0:
        raise ValueError("Neither time nor a rate is below zero.")
    for_time = (2 * active * per_hour + MS_PER_HOUR) // (2 * MS_PER_HOUR)
    return max(per_item, for_time)


def to_micros(amount: Decimal) -> int:
    """Return an amount of a currency in micros.

    >>> to_micros(Decimal("0.305"))
    305000
    """
    return int((amount * MICROS).to_integral_value(ROUND_HALF_UP))


def to_cents(micros: int) -> Decimal:
    """Return micros as an amount in whole cents; half a cent goes away from zero.

    >>> to_cents(1_005_000), to_cents(-1_005_000), to_cents(4_999)
    (Decimal('1.01'), Decimal('-1.01'), Decimal('0.00'))
    """
    rounded = (Decimal(micros) / MICROS).quantize(CENT, ROUND_HALF_UP)
    return rounded if rounded else Decimal("0.00")
