"""The pictures of a leaderboard as SVG text, drawn like those of `training.charts`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from training.charts import ticks

WIDTH = 360
"""Of the interval plot: that of a phone, where it is shown at its own size."""
SIDE = 10
ROW_HEIGHT = 38
FOOT = 20
LONGEST_NAME = 42

LABEL_WIDTH = 150
LONGEST_LABEL = 20
CELL = (46, 34)
SMALL_CELL = (16, 16)
MOST_WITH_NUMBERS = 16
"""Models up to which the cells of a matrix have room for figures."""


@dataclass(frozen=True)
class Bar:
    """A rating with its interval, and the bootstrap's where there is one."""

    name: str
    rating: float
    low: float
    high: float
    bootstrap: tuple[float, float] | None = None


def interval_plot(bars: Sequence[Bar], reference: float = 1000.0) -> str:
    """Return an SVG with a row for each rating on a common scale; a line marks `reference`."""
    spans = [(bar.low, bar.high) for bar in bars] + [bar.bootstrap for bar in bars if bar.bootstrap]
    low = min([reference, *(span[0] for span in spans)])
    high = max([reference, *(span[1] for span in spans)])
    scale = (WIDTH - 2 * SIDE) / max(high - low, 1.0)
    height = ROW_HEIGHT * len(bars) + FOOT

    def x(rating: float) -> str:
        return f"{SIDE + (rating - low) * scale:.1f}"

    parts = []
    for tick in ticks(low, high):
        at = x(tick)
        parts.append(
            f'<line class="chart__grid" x1="{at}" x2="{at}" y1="0" y2="{height - FOOT + 2}"/>'
            f'<text class="chart__tick" x="{at}" y="{height - 5}" '
            f'text-anchor="{_anchor(float(at))}">{tick:.0f}</text>'
        )
    at = x(reference)
    parts.append(
        f'<line class="chart__reference" x1="{at}" x2="{at}" y1="0" y2="{height - FOOT + 2}"/>'
    )
    for number, bar in enumerate(bars):
        parts += _bar(bar, ROW_HEIGHT * number, x)
    words = "; ".join(
        f"{bar.name}: {bar.rating:.0f}, interval {bar.low:.0f} to {bar.high:.0f}" for bar in bars
    )
    return _svg("chart board-plot", "Ratings with 95 % intervals", words, WIDTH, height, parts)


def _bar(bar: Bar, top: int, place: Callable[[float], str]) -> list[str]:
    y = top + 27
    parts = [
        f'<text class="board-plot__name" x="{SIDE}" y="{top + 14}">'
        f"{escape(_cut(bar.name, LONGEST_NAME))}</text>",
        f'<line class="chart__bar board-plot__bar" x1="{place(bar.low)}" x2="{place(bar.high)}" '
        f'y1="{y}" y2="{y}"/>',
    ]
    if bar.bootstrap:
        parts.append(
            f'<line class="board-plot__bootstrap" x1="{place(bar.bootstrap[0])}" '
            f'x2="{place(bar.bootstrap[1])}" y1="{y + 7}" y2="{y + 7}"/>'
        )
    parts.append(
        f'<circle class="board-plot__dot" cx="{place(bar.rating)}" cy="{y}" r="4">'
        f"<title>{escape(bar.name)}: {bar.rating:.0f}</title></circle>"
    )
    return parts


def win_matrix(names: Sequence[str], won: NDArray[np.float64]) -> str:
    """Return an SVG of how often each row's model won against each column's, with the votes.

    `won` is (M, M), ties as half wins. Columns carry the number of their row. Where the models are
    many the figures are in each cell's title alone; two that never met have an empty cell.
    """
    size = len(names)
    has_numbers = size <= MOST_WITH_NUMBERS
    width, height = CELL if has_numbers else SMALL_CELL
    head = 20
    parts = []
    for row, name in enumerate(names):
        y = head + row * height + height / 2 + 4
        parts.append(
            f'<text class="matrix__name" x="0" y="{y:.0f}">{row + 1}\u2002'
            f"{escape(_cut(name, LONGEST_LABEL))}<title>{escape(name)}</title></text>"
        )
        x = LABEL_WIDTH + row * width + width / 2
        parts.append(
            f'<text class="chart__tick" x="{x:.0f}" y="13" text-anchor="middle">{row + 1}</text>'
        )
    for row, column in np.argwhere(won + won.T > 0):
        parts.append(
            _cell(
                (LABEL_WIDTH + int(column) * width, head + int(row) * height),
                (width, height),
                f"{names[row]} against {names[column]}",
                float(won[row, column]),
                round(float(won[row, column] + won[column, row])),
                has_numbers,
            )
        )
    full = LABEL_WIDTH + size * width, head + size * height
    words = "Share of votes that each row's checkpoint won against each column's; as a table below"
    return _svg("matrix", "Win rates between checkpoints", words, *full, parts, is_fixed=True)


def _cell(
    at: tuple[int, int],
    size: tuple[int, int],
    who: str,
    won: float,
    met: int,
    has_numbers: bool,
) -> str:
    """Return a square, the stronger in colour the further the share is from one half."""
    share = won / met
    side = "ahead" if share >= 0.5 else "behind"
    strength = 0.06 + abs(share - 0.5) * 1.1
    x, y = at
    square = (
        f'<rect class="matrix__cell matrix__cell--{side}" x="{x + 1}" y="{y + 1}" '
        f'width="{size[0] - 2}" height="{size[1] - 2}" rx="2" fill-opacity="{strength:.2f}">'
        f"<title>{escape(who)}: {share:.0%} of {met}</title></rect>"
    )
    if not has_numbers:
        return square
    middle = x + size[0] // 2
    return (
        f'{square}<text class="matrix__share" x="{middle}" y="{y + 15}" text-anchor="middle">'
        f'{share * 100:.0f}</text><text class="matrix__n" x="{middle}" y="{y + 28}" '
        f'text-anchor="middle">n {met}</text>'
    )


def _cut(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _anchor(x: float) -> str:
    if x < SIDE + 12:
        return "start"
    return "end" if x > WIDTH - SIDE - 12 else "middle"


def _svg(
    css: str,
    title: str,
    words: str,
    width: float,
    height: float,
    parts: Sequence[str],
    *,
    is_fixed: bool = False,
) -> str:
    size = f' width="{width:.0f}" height="{height:.0f}"' if is_fixed else ""
    return (
        f'<svg class="{css}" viewBox="0 0 {width:.0f} {height:.0f}"{size} role="img" '
        f'aria-label="{escape(f"{title}. {words}")}"><title>{escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )
