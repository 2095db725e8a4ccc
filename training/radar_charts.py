"""Reward and people over √KL, as two pictures with one scale across: SVG text like the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from training.charts import short, ticks

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 336, 12, 166
"""Of the rectangle that values are drawn into."""


@dataclass(frozen=True)
class Spot:
    """A value at a distance from the start, with its interval where it has one."""

    kl: float
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def across(self) -> float:
        return math.sqrt(max(self.kl, 0.0))

    @property
    def span(self) -> list[float]:
        """Return all that has to fit: the value and the ends of its interval."""
        return [self.value, *(end for end in (self.low, self.high) if end is not None)]


def reward_chart(spots: Sequence[Spot]) -> str:
    """Return an SVG of the reward's gain over the start, from the start at 0 on."""
    start = Spot(0.0, 0.0)
    reached = [value for spot in (start, *spots) for value in spot.span]
    low, high = min(reached), max(reached)
    pad = (high - low) * 0.08 or 1.0
    return _chart("Reward above the start", [start, *spots], low - pad, high + pad, 0.0, short, 1)


def people_chart(spots: Sequence[Spot]) -> str:
    """Return an SVG of how often people like the policy better than the start, which is even."""
    return _chart("People’s win rate", [Spot(0.0, 0.5), *spots], 0.0, 1.0, 0.5, _share, 2)


def _chart(
    title: str,
    spots: Sequence[Spot],
    low: float,
    high: float,
    reference: float,
    as_text: Callable[[float], str],
    colour: int,
) -> str:
    most = max(spot.across for spot in spots) or 1.0

    def x(across: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * across / most, 1)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low), 1)

    parts = []
    for tick in ticks(low, high):
        at = y(tick)
        parts.append(f'<line class="chart__grid" x1="{LEFT}" x2="{RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(
            f'<text class="chart__tick" x="{LEFT - 6}" y="{at}" dy="0.32em" text-anchor="end">'
            f"{as_text(tick)}</text>"
        )
    even = y(reference)
    parts.append(
        f'<line class="chart__reference" x1="{LEFT}" x2="{RIGHT}" y1="{even}" y2="{even}"/>'
    )
    for tick in ticks(0.0, most):
        parts.append(
            f'<text class="chart__tick" x="{x(tick)}" y="{HEIGHT - 8}" text-anchor="middle">'
            f"{short(tick)}</text>"
        )
    parts.append(f'<text class="chart__tick" x="{RIGHT + 2}" y="{BOTTOM + 3}">√KL</text>')
    line = f"chart__line chart__line--{colour}"
    places = " ".join(f"{x(spot.across)},{y(spot.value)}" for spot in spots)
    parts.append(f'<polyline class="{line}" points="{places}"/>')
    for spot in spots:
        at, height = x(spot.across), y(spot.value)
        if spot.low is not None and spot.high is not None:
            parts.append(
                f'<line class="{line}" x1="{at}" x2="{at}" y1="{y(spot.low)}" y2="{y(spot.high)}"/>'
            )
        parts.append(f'<circle class="{line} chart__dot" cx="{at}" cy="{height}" r="4"/>')
    words = "; ".join(_in_words(spot, as_text) for spot in spots)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{title}. {words}")}"><title>{escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )


def _in_words(spot: Spot, as_text: Callable[[float], str]) -> str:
    if not spot.kl:
        return f"at the start {as_text(spot.value)}"
    words = f"at {short(spot.kl)} nats {as_text(spot.value)}"
    if spot.low is None or spot.high is None:
        return words
    return f"{words}, interval {as_text(spot.low)} to {as_text(spot.high)}"


def _share(value: float) -> str:
    """Return a share as a chart writes it.

    >>> _share(0.25)
    '25%'
    """
    return f"{value:.0%}"
