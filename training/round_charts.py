"""The rounds of a project beside each other, as SVG text like those of `training.charts`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLUMN, LEFT, TOP, SHARES, COSTS, GAP = 64, 76, 10, 150, 34, 14
"""Widths and heights: a round's column, the names at the left, the shares, each row of costs."""
NARROWEST = 3
"""Columns that there is room for, so that a single round is not drawn huge."""
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)

Span = tuple[float, float, float]
"""A value with the ends of its interval."""


@dataclass(frozen=True)
class Column:
    """What is drawn of one round; what is not known is left out."""

    name: str
    win_rate: Span | None
    accuracy: Span | None
    people: float | None
    labels: int
    seconds: float


def rounds_chart(columns: Sequence[Column]) -> str:
    """Return an SVG: shares with intervals above, what they cost in labels and seconds below."""
    width = LEFT + COLUMN * max(len(columns), NARROWEST) + 8
    height = TOP + SHARES + 2 * (COSTS + GAP) + 24
    parts = [*_grid(width)]
    most_labels = max([one.labels for one in columns] + [1])
    most_seconds = max([one.seconds for one in columns] + [1.0])
    for row, name in enumerate(("Labels", "Seconds")):
        foot = TOP + SHARES + (row + 1) * (COSTS + GAP)
        parts.append(f'<text class="chart__tick" x="0" y="{foot - 4}">{name}</text>')
        parts.append(
            f'<line class="chart__grid" x1="{LEFT}" x2="{width}" y1="{foot}" y2="{foot}"/>'
        )
    for place, one in enumerate(columns):
        middle = LEFT + COLUMN * place + COLUMN // 2
        parts += _span(middle - 9, one.win_rate, 1)
        parts += _span(middle + 9, one.accuracy, 3)
        if one.people is not None:
            y = _y(one.people)
            parts.append(
                f'<line class="chart__reference" x1="{middle}" x2="{middle + 24}" y1="{y}" '
                f'y2="{y}"/>'
            )
        parts += _cost(middle, 1, one.labels / most_labels, f"{one.labels}")
        parts += _cost(middle, 2, one.seconds / most_seconds, f"{one.seconds:.0f}")
        parts.append(
            f'<text class="chart__tick" x="{middle}" y="{height - 6}" text-anchor="middle">'
            f"{escape(one.name)}</text>"
        )
    words = "; ".join(_in_words(one) for one in columns)
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(words)}"><title>Past rounds</title>{"".join(parts)}</svg>'
    )


def _grid(width: int) -> list[str]:
    parts = []
    for tick in TICKS:
        kind = "reference" if tick == 0.5 else "grid"
        y = _y(tick)
        parts.append(f'<line class="chart__{kind}" x1="{LEFT}" x2="{width}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<text class="chart__tick" x="{LEFT - 6}" y="{y}" dy="0.32em" '
            f'text-anchor="end">{tick:.0%}</text>'
        )
    return parts


def _span(x: int, span: Span | None, colour: int) -> list[str]:
    if span is None:
        return []
    value, low, high = span
    line = f'class="chart__line chart__line--{colour}"'
    return [
        f'<line {line} x1="{x}" x2="{x}" y1="{_y(low)}" y2="{_y(high)}"/>',
        f'<g class="chart__line--{colour}"><circle class="chart__dot" cx="{x}" cy="{_y(value)}" '
        'r="4"/></g>',
    ]


def _cost(middle: int, row: int, share: float, text: str) -> list[str]:
    foot = TOP + SHARES + row * (COSTS + GAP)
    tall = round(COSTS * share * 0.6, 1)
    return [
        f'<g class="chart__line--4"><rect class="chart__dot" x="{middle - 12}" '
        f'y="{round(foot - tall, 1)}" width="24" height="{tall}"/></g>',
        f'<text class="chart__tick" x="{middle}" y="{round(foot - tall - 3, 1)}" '
        f'text-anchor="middle">{text}</text>',
    ]


def _y(share: float) -> float:
    return round(TOP + SHARES * (1 - min(max(share, 0.0), 1.0)), 1)


def _in_words(one: Column) -> str:
    """Return what the picture shows of a round.

    >>> _in_words(Column("1", (0.6, 0.5, 0.7), None, None, 20, 3.0))
    'Round 1: against the first 60%, interval 50% to 70%, 20 labels, 3 seconds'
    """
    parts = [
        f"{name} {span[0]:.0%}, interval {span[1]:.0%} to {span[2]:.0%}"
        for name, span in (("against the first", one.win_rate), ("reward accuracy", one.accuracy))
        if span is not None
    ]
    if one.people is not None:
        parts.append(f"two people agree {one.people:.0%}")
    costs = [f"{one.labels} labels", f"{one.seconds:.0f} seconds"]
    return f"Round {one.name}: {', '.join([*parts, *costs])}"
