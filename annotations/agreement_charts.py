"""The pictures of the page of agreement as SVG text, coloured by CSS classes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from annotations.algorithms.reliability import UNKNOWN, Estimate
from annotations.algorithms.shares import Share

WIDTH, HEIGHT = 360, 170
LEFT, RIGHT, TOP, BOTTOM = 40, 10, 10, 34
LEVELS = 6
"""Shades of the heat map that the style sheet has."""


@dataclass(frozen=True)
class Point:
    """A statistic in one of several parts, such as weeks, in their order."""

    name: str
    estimate: Estimate


def share_point(name: str, share: Share) -> Point:
    """Return a share as a point of a chart; of nothing it is not defined."""
    if share.share is None:
        return Point(name, UNKNOWN)
    return Point(name, Estimate(share.share, share.low, share.high, share.n))


def parts_chart(title: str, points: Sequence[Point]) -> str:
    """Return an SVG of a statistic in one part after another, with its interval, from 0 to 1.

    What lies below 0 is drawn at the foot. Parts in which it is not defined are gaps.
    """
    known = [(place, p) for place, p in enumerate(points) if p.estimate.value is not None]
    step = (WIDTH - LEFT - RIGHT) / max(len(points), 1)
    parts = [_grid(tick) for tick in (0.0, 0.25, 0.5, 0.75, 1.0)]
    for place, point in known:
        parts += _estimate(LEFT + step * (place + 0.5), point)
    for place in sorted({0, len(points) - 1}) if points else []:
        anchor = "start" if place == 0 else "end"
        at = LEFT if place == 0 else WIDTH - RIGHT
        parts.append(
            f'<text class="chart__tick" x="{at}" y="{HEIGHT - 16}" text-anchor="{anchor}">'
            f"{escape(points[place].name)}</text>"
        )
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{escape(title)}</title><desc>{escape(_in_words(points))}</desc>"
        f"{''.join(parts)}</svg>"
    )


def heat(disagreement: float) -> int:
    """Return the shade of a share of disagreement, from 0 to LEVELS - 1; half is already dark.

    >>> [heat(share) for share in (0.0, 0.25, 0.5, 1.0)]
    [0, 3, 5, 5]
    """
    return min(int(disagreement * 2 * LEVELS), LEVELS - 1)


def _estimate(x: float, point: Point) -> list[str]:
    estimate = point.estimate
    parts = []
    if estimate.low is not None and estimate.high is not None:
        parts.append(
            f'<line class="chart__bar agreement-bar" x1="{x:.1f}" x2="{x:.1f}" '
            f'y1="{_y(estimate.low)}" y2="{_y(estimate.high)}"/>'
        )
    parts.append(
        f'<circle class="chart__estimate chart__line--1" cx="{x:.1f}" '
        f'cy="{_y(estimate.value or 0)}" r="4">'
        f"<title>{escape(_point_in_words(point))}</title></circle>"
    )
    return parts


def _grid(tick: float) -> str:
    return (
        f'<line class="chart__grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(tick)}" '
        f'y2="{_y(tick)}"/><text class="chart__tick" x="{LEFT - 6}" y="{_y(tick)}" dy="0.32em" '
        f'text-anchor="end">{tick:.2f}</text>'
    )


def _y(value: float) -> str:
    inside = min(max(value, 0.0), 1.0)
    return f"{TOP + (1 - inside) * (HEIGHT - TOP - BOTTOM):.1f}"


def _in_words(points: Sequence[Point]) -> str:
    return "; ".join(_point_in_words(point) for point in points) or "no values yet"


def _point_in_words(point: Point) -> str:
    estimate = point.estimate
    if estimate.value is None:
        return f"{point.name}: not defined, n {estimate.n}"
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = f", interval {estimate.low:.2f} to {estimate.high:.2f}"
    known = f"{estimate.value:.2f}{interval}".replace("-", "−")
    return f"{point.name}: {known}, n {estimate.n}"
