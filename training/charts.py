"""Draw charts as SVG text: plain functions of numbers, coloured by CSS classes alone.

No style attributes (the page's content policy forbids them) and no scripts, so a chart is there
on the first paint and reads the same in light and dark. NaN and infinite values are gaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 46, 62, 8, 20
DOT_RADIUS = 4
"""Of a point without a neighbour; a smaller one is overlooked on an otherwise empty chart."""
SMALL_DOT_RADIUS = 2.5
SHADES = 5
"""How many the style sheet has for dots, from the first to the last."""
STEP = "step"
"""What the lines of a run run over, unless it is said otherwise."""
MOST_POINTS = 240
"""Points drawn per series; more would not be seen on a small chart."""
SERIES_CLASSES = 4
"""How many line classes the style sheet has; further series begin again at the first."""


@dataclass(frozen=True)
class Series:
    """One line: its name and its points in order of x."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Interval:
    """One estimate with its interval: a row of an interval chart."""

    name: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class CalibrationBin:
    """What a model predicted on average, which share of people chose it, and how many votes."""

    predicted: float
    chosen: float
    n: int


def line_chart(title: str, series: Sequence[Series], *, width: int = 320, height: int = 150) -> str:
    """Return an SVG of one or several lines over steps.

    The last value of each line stands beside it. Without a finite point the chart says so.
    """
    drawn = [Series(s.name, thin(s.points)) for s in series]
    finite = [p for s in drawn for p in s.points if _is_finite(p)]
    if not finite:
        return _svg(title, f"{title}: no values yet", width, height, _empty(width, height))
    frame = _Frame.around(finite, width, height)
    parts = [*_x_axis(frame), *_y_axis(frame)]
    for number, one in enumerate(drawn):
        parts += _line(frame, one, number)
    parts += _last_labels(frame, drawn)
    return _svg(title, describe(title, series), width, height, parts)


def frontier_chart(
    title: str, series: Sequence[Series], x_name: str, *, width: int = 320, height: int = 150
) -> str:
    """Return an SVG with a dot for each point, the later the stronger, and a line through the best.

    For points that come in time and not in order of x: a line through them all would be a scribble.
    """
    drawn = [
        Series(one.name, thin([point for point in one.points if _is_finite(point)]))
        for one in series
    ]
    finite = [point for one in drawn for point in one.points]
    if not finite:
        return _svg(title, f"{title}: no values yet", width, height, _empty(width, height))
    frame = _Frame.around(finite, width, height)
    parts = [*_x_axis(frame, x_name), *_y_axis(frame)]
    for number, one in enumerate(drawn):
        parts += _line(frame, Series(one.name, best_within(one.points)), number)
    for number, one in enumerate(drawn):
        parts += _dots(frame, one, number)
    parts += _last_labels(frame, drawn)
    return _svg(title, describe(title, series, x_name), width, height, parts)


def best_within(points: Sequence[Point]) -> list[Point]:
    """Return the points that are higher than all with a smaller x, up to the largest x.

    >>> best_within([(0, 1.0), (2, 3.0), (1, 2.0), (3, 2.5), (1, 1.5)])
    [(0, 1.0), (1, 2.0), (2, 3.0), (3, 3.0)]
    """
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    furthest = max(x for x, _ in points)
    return best if best[-1][0] == furthest else [*best, (furthest, best[-1][1])]


def interval_chart(
    title: str, rows: Sequence[Interval], *, reference: float = 0.5, width: int = 480
) -> str:
    """Return an SVG with one bar from low to high per row on a scale from 0 to 1.

    A line marks `reference` (a coin flip); a bar that lies wholly above it is marked as good,
    wholly below as bad.
    """
    name_width, value_width, row_height = 0, 0, 30
    height = row_height * len(rows) + MARGIN_BOTTOM
    left, right = 8 + name_width, width - 8 - value_width

    def x(value: float) -> str:
        return _number(left + min(max(value, 0.0), 1.0) * (right - left))

    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = x(tick)
        parts.append(f'<line class="chart__grid" x1="{at}" x2="{at}" y1="0" y2="{height - 18}"/>')
        anchor = {0.0: "start", 1.0: "end"}.get(tick, "middle")
        parts.append(
            f'<text class="chart__tick" x="{at}" y="{height - 4}" text-anchor="{anchor}">'
            f"{tick:.0%}</text>"
        )
    at = x(reference)
    parts.append(f'<line class="chart__reference" x1="{at}" x2="{at}" y1="0" y2="{height - 18}"/>')
    for number, row in enumerate(rows):
        y = row_height * number + row_height // 2
        verdict = _verdict(row, reference)
        parts += [
            f'<line class="chart__bar chart__bar--{verdict}" x1="{x(row.low)}" '
            f'x2="{x(row.high)}" y1="{y}" y2="{y}"/>',
            f'<circle class="chart__estimate chart__estimate--{verdict}" cx="{x(row.value)}" '
            f'cy="{y}" r="5"/>',
        ]
    words = "; ".join(
        f"{r.name}: {r.value:.0%}, interval {r.low:.0%} to {r.high:.0%}, n {r.n}" for r in rows
    )
    return _svg(title, f"{title}. {words}", width, height, parts)


def calibration_chart(
    title: str, bins: Sequence[CalibrationBin], *, width: int = 320, height: int = 190
) -> str:
    """Return an SVG of predicted probability against the share of votes, a dot with its n a bin.

    A model that is as sure as it may be lies on the dashed diagonal: below it, it is too sure.
    """
    frame = _Frame(0.5, 1.0, 0.0, 1.0, width, height, (0.5, 1.0))
    bottom, right = height - MARGIN_BOTTOM, width - MARGIN_RIGHT
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _number(frame.y(tick))
        parts.append(
            f'<line class="chart__grid" x1="{MARGIN_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>'
            f'<text class="chart__tick" x="{MARGIN_LEFT - 6}" y="{y}" dy="0.32em" '
            f'text-anchor="end">{tick:.0%}</text>'
        )
    for tick in (0.5, 0.75, 1.0):
        parts.append(
            f'<text class="chart__tick" x="{_number(frame.x(tick))}" y="{height - 5}" '
            f'text-anchor="middle">{tick:.0%}</text>'
        )
    parts.append(
        f'<line class="chart__axis" x1="{MARGIN_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
        f'<line class="chart__reference" x1="{MARGIN_LEFT}" y1="{_number(frame.y(0.5))}" '
        f'x2="{right}" y2="{_number(frame.y(1.0))}"/>'
    )
    for one in bins:
        x, y = _number(frame.x(one.predicted)), _number(frame.y(one.chosen))
        above = frame.y(one.chosen) - 9
        label_y = _number(above if above > MARGIN_TOP + 6 else frame.y(one.chosen) + 16)
        parts.append(
            f'<circle class="chart__estimate chart__line--1" cx="{x}" cy="{y}" r="{DOT_RADIUS}"/>'
            f'<text class="chart__tick" x="{x}" y="{label_y}" text-anchor="middle">'
            f"{one.n}</text>"
        )
    words = "; ".join(
        f"predicted {b.predicted:.0%}, chosen by {b.chosen:.0%} of {b.n} votes" for b in bins
    )
    return _svg(title, f"{title}. {words or 'no votes'}", width, height, parts)


def thin(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """Return at most about `most` points that keep every bucket's lowest and highest value.

    The first and the last point stay, so that a spike or the current value never disappears.

    >>> thin([(0, 1.0), (1, 5.0), (2, 2.0)])
    [(0, 1.0), (1, 5.0), (2, 2.0)]
    >>> thin([(x, float(x % 7)) for x in range(1000)], most=4)
    [(0, 0.0), (6, 6.0), (503, 6.0), (504, 0.0), (999, 5.0)]
    """
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / max(most // 2, 1))
    kept: set[int] = {0, len(points) - 1}
    for start in range(0, len(points), size):
        bucket = range(start, min(start + size, len(points)))
        finite = [i for i in bucket if _is_finite(points[i])]
        if not finite:
            kept.add(start)
            continue
        kept.add(min(finite, key=lambda i: points[i][1]))
        kept.add(max(finite, key=lambda i: points[i][1]))
    return [points[i] for i in sorted(kept)]


def ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Return the round numbers from `low` to `high` at the finest step that gives few.

    >>> ticks(0, 10)
    [0.0, 5.0, 10.0]
    >>> ticks(0.61, 0.72)
    [0.65, 0.7]
    """
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    for step in (power * m for m in (1, 2, 5, 10, 20)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def tick_labels(values: list[float]) -> list[str]:
    """Return what stands at the ticks of an axis: as few characters as tell them apart.

    >>> tick_labels([0.9995, 1.0, 1.0005]), tick_labels([-10_000.0, 0.0])
    (['0.9995', '1', '1.0005'], ['−10k', '0'])
    """
    labels = [short(value) for value in values]
    if len(set(labels)) < len(labels):
        labels = [f"{value:.12g}".replace("-", "−") for value in values]
    return labels


def short(value: float) -> str:
    """Return a number in few characters, without lying about its size.

    >>> [short(v) for v in (0, 0.00005, 0.00413, 0.12345, 3.14159, 42.42, 12345, 2_500_000)]
    ['0', '5e-5', '0.0041', '0.123', '3.14', '42.4', '12.3k', '2.5M']
    >>> short(float("nan"))
    'NaN'
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    size = abs(value)
    if size == 0:
        return "0"
    sign = "−" if value < 0 else ""
    if size < 0.001:
        digits, exponent = f"{size:.1e}".split("e")
        return f"{sign}{float(digits):g}e{int(exponent)}"
    for limit, unit in ((1e6, "M"), (1e4, "k")):
        if size >= limit:
            scale = 1e6 if unit == "M" else 1e3
            return f"{sign}{size / scale:.3g}{unit}"
    if size < 0.01:  # three digits would not fit beside a line's end
        return f"{sign}{size:.2g}"
    return f"{sign}{size:.3g}" if size < 1000 else f"{sign}{size:.0f}"


def describe(title: str, series: Sequence[Series], x_name: str = STEP) -> str:
    """Return the chart's numbers in words, for those who do not see it.

    >>> describe("Loss", [Series("loss", [(1, 2.0), (2, float("nan")), (3, 1.0)])])
    'Loss. loss: 2 points, from 2 at step 1 to 1 at step 3, lowest 1, highest 2; 1 not a number'
    """
    words = []
    for one in series:
        finite = [p for p in one.points if _is_finite(p)]
        if not finite:
            words.append(f"{one.name}: no values")
            continue
        (first_x, first_y), (last_x, last_y) = finite[0], finite[-1]
        first, last = (f"{x_name} {_place(x)}" for x in (first_x, last_x))
        values = [y for _, y in finite]
        if len(finite) == 1:
            text = f"{one.name}: one point, {short(first_y)} at {first}"
        else:
            text = (
                f"{one.name}: {len(finite)} points, from {short(first_y)} at {first} "
                f"to {short(last_y)} at {last}, lowest {short(min(values))}, "
                f"highest {short(max(values))}"
            )
        gaps = len(one.points) - len(finite)
        words.append(f"{text}; {gaps} not a number" if gaps else text)
    return f"{title}. " + ". ".join(words)


@dataclass(frozen=True)
class _Frame:
    """The ranges of the numbers and the rectangle that they are drawn into."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    width: int
    height: int
    steps: tuple[float, float]
    """The first and the last step that has a point."""

    @classmethod
    def around(cls, points: Sequence[Point], width: int, height: int) -> _Frame:
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        y_low, y_high = min(ys), max(ys)
        pad = (y_high - y_low) * 0.06 or abs(y_high) * 0.1 or 1.0
        x_low, x_high = min(xs), max(xs)
        steps = (x_low, x_high)
        if x_low == x_high:  # a lone point stands in the middle, over its step
            x_low, x_high = x_low - 1, x_high + 1
        return cls(x_low, x_high, y_low - pad, y_high + pad, width, height, steps)

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return MARGIN_LEFT + share * (self.width - MARGIN_LEFT - MARGIN_RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return self.height - MARGIN_BOTTOM - share * (self.height - MARGIN_TOP - MARGIN_BOTTOM)


def _y_axis(frame: _Frame) -> list[str]:
    parts = []
    right = frame.width - MARGIN_RIGHT
    heights = ticks(frame.y_low, frame.y_high)
    for tick, label in zip(heights, tick_labels(heights), strict=True):
        y = _number(frame.y(tick))
        parts.append(
            f'<line class="chart__grid" x1="{MARGIN_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>'
        )
        parts.append(
            f'<text class="chart__tick" x="{MARGIN_LEFT - 6}" y="{y}" dy="0.32em" '
            f'text-anchor="end">{label}</text>'
        )
    return parts


def _x_axis(frame: _Frame, x_name: str = STEP) -> list[str]:
    bottom = frame.height - MARGIN_BOTTOM
    right = frame.width - MARGIN_RIGHT
    parts = [
        f'<line class="chart__axis" x1="{MARGIN_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
    ]
    wanted = [t for t in ticks(*frame.steps) if t == int(t) or x_name != STEP]
    if x_name != STEP:
        name = f'x="{right + 5}" y="{frame.height - 5}">{escape(x_name)}'
        parts.append(f'<text class="chart__tick" {name}</text>')
    for tick in wanted:
        parts.append(
            f'<text class="chart__tick" x="{_number(frame.x(tick))}" y="{frame.height - 5}" '
            f'text-anchor="middle">{short(tick)}</text>'
        )
    return parts


def _line(frame: _Frame, series: Series, number: int) -> list[str]:
    css = f"chart__line chart__line--{number % SERIES_CLASSES + 1}"
    parts = []
    for stretch in _stretches(series.points):
        places = [f"{_number(frame.x(x))},{_number(frame.y(y))}" for x, y in stretch]
        if len(places) == 1:
            x, y = places[0].split(",")
            parts.append(f'<circle class="{css} chart__dot" cx="{x}" cy="{y}" r="{DOT_RADIUS}"/>')
        else:
            parts.append(f'<polyline class="{css}" points="{" ".join(places)}"/>')
    return parts


def _dots(frame: _Frame, series: Series, number: int) -> list[str]:
    """Return a dot for each point, in as many shades as the style sheet has; the last is larger."""
    parts = []
    for place, (x, y) in enumerate(series.points, start=1):
        shade = -(-SHADES * place // len(series.points))
        css = f"chart__line chart__line--{number % SERIES_CLASSES + 1} chart__dot"
        radius = DOT_RADIUS if place == len(series.points) else SMALL_DOT_RADIUS
        parts.append(
            f'<circle class="{css} chart__dot--{shade}" cx="{_number(frame.x(x))}" '
            f'cy="{_number(frame.y(y))}" r="{radius}"/>'
        )
    return parts


def _last_labels(frame: _Frame, series: Sequence[Series]) -> list[str]:
    """Return the last value of each line at its end, moved apart where they would overlap."""
    wanted = []
    for number, one in enumerate(series):
        finite = [p for p in one.points if _is_finite(p)]
        if finite:
            wanted.append((frame.y(finite[-1][1]), number, finite[-1]))
    parts, lowest = [], -math.inf
    for y, number, (last_x, last_y) in sorted(wanted):
        y = min(max(y, lowest + 13, MARGIN_TOP), frame.height - MARGIN_BOTTOM)
        lowest = y
        x = _number(min(frame.x(last_x), frame.width - MARGIN_RIGHT) + 5)
        parts.append(
            f'<text class="chart__last chart__last--{number % SERIES_CLASSES + 1}" x="{x}" '
            f'y="{_number(y)}" dy="0.32em">{short(last_y)}</text>'
        )
    return parts


def _stretches(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Yield the unbroken stretches between values that are not numbers."""
    stretch: list[Point] = []
    for point in points:
        if _is_finite(point):
            stretch.append(point)
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _verdict(row: Interval, reference: float) -> str:
    if row.low > reference:
        return "ok"
    return "bad" if row.high < reference else "neutral"


def _empty(width: int, height: int) -> list[str]:
    return [
        f'<text class="chart__tick" x="{width // 2}" y="{height // 2}" text-anchor="middle">'
        "no values yet</text>"
    ]


def _svg(title: str, label: str, width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(label)}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def _place(x: float) -> str:
    return f"{x:g}" if x == int(x) else short(x)


def _is_finite(point: Point) -> bool:
    return math.isfinite(point[1])


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
