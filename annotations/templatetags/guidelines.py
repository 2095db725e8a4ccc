"""Shares on the pages of guidelines."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def as_percent(value: float | None) -> str:
    """Return a share in whole percent; a dash where there is none.

    >>> as_percent(0.256), as_percent(None)
    ('26\\xa0%', '–')
    """
    return "–" if value is None else f"{value * 100:.0f}\u00a0%"


@register.filter
def as_points(value: float) -> str:
    """Return a difference of shares in percentage points.

    >>> as_points(-0.052)
    '−5 points'
    """
    return f"{value * 100:.0f} points".replace("-", "−")
