"""The pictures of the dashboard as SVG text, coloured by CSS classes alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from math import ceil, floor, log10
from pathlib import Path

from django.contrib.staticfiles import finders

from annotations.agreement_charts import heat

WIDTH, HEIGHT = 360, 170
LEFT, RIGHT, TOP, BOTTOM = 50, 10, 10, 26
GAP = 0.2
"""Of the width of a bar."""
TICKS = 4
PARTS = 8
"""Colours of the parts of a bar that the style sheet has."""
ROW, NAME_WIDTH, CELL_WIDTH = 20, 120, 78
LONGEST_NAME = 18
HEAD = 44
"""Above a picture that is a file: its title, and what its colours stand for."""
VIEW = re.compile(r'viewBox="0 0 (\d+) (\d+)"')
STYLES = ("css/run.css", "css/agreement.css", "css/dashboard.css")


@dataclass(frozen=True)
class Bar:
    """One bar and the parts that it is stacked of."""

    name: str
    parts: Mapping[str, float]


def bars_chart(title: str, bars: Sequence[Bar], names: Sequence[str], unit: str) -> str:
    """Return an SVG of bars in their order; each part has the colour of its place in `names`."""
    highest = max((sum(max(value, 0.0) for value in bar.parts.values()) for bar in bars), default=0)
    top = _round_up(highest)
    step = (WIDTH - LEFT - RIGHT) / max(len(bars), 1)
    parts = [_grid(top * place / TICKS, top) for place in range(TICKS + 1)]
    for place, bar in enumerate(bars):
        parts.append(_bar(LEFT + step * (place + GAP / 2), step * (1 - GAP), bar, names, top, unit))
    for place in sorted({0, len(bars) - 1}) if bars else []:
        anchor, x = ("start", LEFT) if place == 0 else ("end", WIDTH - RIGHT)
        parts.append(_text(x, HEIGHT - 8, bars[place].name, anchor))
    words = "; ".join(f"{bar.name}: {_in_words(bar, unit)}" for bar in bars if _has_parts(bar))
    return _svg(title, words or "nothing yet", "".join(parts), WIDTH, HEIGHT)


def _has_parts(bar: Bar) -> bool:
    return any(bar.parts.values())


def rows_chart(title: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """Return an SVG of lying bars, each with its name, its length and what stands at its end."""
    height = ROW * len(rows) + 8
    most = max((value for _, value, _ in rows), default=0) or 1
    room = WIDTH - NAME_WIDTH - 56
    parts = []
    for place, (name, value, words) in enumerate(rows):
        y = 4 + ROW * place
        parts.append(_text(NAME_WIDTH - 6, y + 14, shortened(name), "end"))
        parts.append(
            f'<rect class="chart__part--1" x="{NAME_WIDTH}" y="{y + 3}" '
            f'width="{room * value / most:.1f}" height="{ROW - 6}"/>'
        )
        parts.append(_text(NAME_WIDTH + room * value / most + 5, y + 14, words, "start"))
    said = "; ".join(f"{name}: {words}" for name, _, words in rows)
    return _svg(title, said or "nothing yet", "".join(parts), WIDTH, max(height, ROW))


def heat_map(
    title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]
) -> str:
    """Return an SVG of shares of disagreement, a row for each tag and a cell for each column."""
    width = NAME_WIDTH + CELL_WIDTH * len(columns)
    parts = [
        _text(NAME_WIDTH + CELL_WIDTH * (place + 0.5), 14, shortened(name, 12), "middle")
        for place, name in enumerate(columns)
    ]
    for number, (name, shares) in enumerate(rows, start=1):
        y = ROW * number
        parts.append(_text(NAME_WIDTH - 6, y + 14, shortened(name), "end"))
        for place, share in enumerate(shares):
            x = NAME_WIDTH + CELL_WIDTH * place
            if share is None:
                parts.append(_text(x + CELL_WIDTH / 2, y + 14, "–", "middle"))
                continue
            parts.append(
                f'<rect class="chart__heat--{heat(share)}" x="{x + 1}" y="{y + 1}" '
                f'width="{CELL_WIDTH - 2}" height="{ROW - 2}"/>'
            )
            parts.append(
                _text(x + CELL_WIDTH / 2, y + 14, f"{share:.0%}", "middle", "chart__value")
            )
    said = "; ".join(
        f"{name}, {column}: {share:.0%}"
        for name, shares in rows
        for column, share in zip(columns, shares, strict=True)
        if share is not None
    )
    return _svg(title, said or "nothing yet", "".join(parts), width, ROW * (len(rows) + 1) + 4)


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def standalone(picture: str, title: str, keys: Sequence[str] = ()) -> str:
    """Return an SVG of one of the pages as a file, with its title, keys and colours (light ones).

    Programs that draw know no variables of CSS, so each is replaced by its value.
    """
    width, height = map(int, VIEW.findall(picture)[0])
    head = [_text(4, 14 - HEAD, title, "start", "chart__value")]
    x = 4.0
    for place, key in enumerate(keys if len(keys) > 1 else ()):
        style = f"chart__part--{place % PARTS + 1}"
        head.append(f'<rect class="{style}" x="{x:.0f}" y="-20" width="10" height="10"/>')
        head.append(_text(x + 14, -11, key, "start"))
        x += 26 + 6.5 * len(key)
    wide = max(width, ceil(x), 8 + ceil(6.5 * len(title)))
    view = f'viewBox="0 {-HEAD} {wide} {height + HEAD}"'
    opened = VIEW.sub(f'{view} xmlns="http://www.w3.org/2000/svg"', picture, count=1)
    inside = f"</desc><style>{_style()}</style>{''.join(head)}"
    return opened.replace("</desc>", inside, 1)


@cache
def _style() -> str:
    light = _read("css/variables.css").partition("@media")[0]
    values = dict(re.findall(r"(--[\w-]+):\s*([^;]+);", light))
    rules = [
        line
        for name in STYLES
        for line in _read(name).splitlines()
        if line.startswith((".chart", ".agreement-bar"))
    ]
    text = re.sub(r"var\((--[\w-]+)\)", lambda found: values[found[1]], "\n".join(rules))
    return f"svg {{ background: {values['--surface']}; }}\n{text}"


def _read(name: str) -> str:
    path = finders.find(name)
    assert isinstance(path, str)  # a style sheet of this project
    return Path(path).read_text(encoding="utf-8")


def _bar(x: float, width: float, bar: Bar, names: Sequence[str], top: float, unit: str) -> str:
    drawn, below = [], 0.0
    for place, name in enumerate(names):
        value = max(bar.parts.get(name, 0), 0)
        if not value:
            continue
        high, low = _y(below + value, top), _y(below, top)
        drawn.append(
            f'<rect class="chart__part--{place % PARTS + 1}" x="{x:.1f}" y="{high:.1f}" '
            f'width="{width:.1f}" height="{low - high:.1f}"/>'
        )
        below += value
    if not drawn:
        return ""
    return f"<g><title>{escape(f'{bar.name}: {_in_words(bar, unit)}')}</title>{''.join(drawn)}</g>"


def _in_words(bar: Bar, unit: str) -> str:
    said = [
        f"{name} {_number(value)}" if name else _number(value)
        for name, value in bar.parts.items()
        if value
    ]
    return f"{', '.join(said)} {unit}".strip()


def _round_up(highest: float) -> float:
    """Return the top of a scale: a round number that is not below the highest value.

    >>> _round_up(87), _round_up(0.3), _round_up(0)
    (100.0, 0.4, 1.0)
    """
    if highest <= 0:
        return 1.0
    unit = 10.0 ** floor(log10(highest))
    steps = next(step for step in (1, 2, 4, 5, 8, 10) if step * unit >= highest * (1 - 1e-9))
    return float(f"{steps * unit:.6g}")


def _number(value: float) -> str:
    if value == ceil(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def _grid(tick: float, top: float) -> str:
    y = f"{_y(tick, top):.1f}"
    return (
        f'<line class="chart__grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text class="chart__tick" x="{LEFT - 6}" y="{y}" dy="0.32em" text-anchor="end">'
        f"{_number(tick)}</text>"
    )


def _text(x: float, y: float, words: str, anchor: str, style: str = "chart__tick") -> str:
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def _y(value: float, top: float) -> float:
    return TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM)


def _svg(title: str, words: str, drawn: str, width: int, height: int) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{escape(title)}</title><desc>{escape(words)}</desc>{drawn}</svg>"
    )
