"""Charts and figures: plain functions of numbers, safe to put into a page."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from training.charts import (
    Interval,
    Series,
    frontier_chart,
    interval_chart,
    line_chart,
    thin,
    ticks,
)
from training.figures import interval, result_figures

NS = "{http://www.w3.org/2000/svg}"
numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)

# a busy machine is slow to draw values; that says nothing about charts


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def test_it_draws_one_line_per_unbroken_stretch() -> None:
    nan = math.nan
    svg = line_chart("Loss", [Series("loss", [(1, 3.0), (2, 2.0), (3, nan), (4, 1.0), (5, 0.5)])])
    lines = parsed(svg).findall("polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [2, 2]
    assert "1 not a number" in parsed(svg).attrib["aria-label"]


def test_it_draws_a_lone_point_as_a_dot() -> None:
    svg = line_chart("Loss", [Series("loss", [(7, 3.0)])])
    (dot,) = parsed(svg).findall("circle")
    assert float(dot.attrib["r"]) >= 4
    texts = [(t.attrib["class"], t.text) for t in parsed(svg).findall("text")]
    assert ("chart__last chart__last--1", "3") in texts
    assert "one point, 3 at step 7" in parsed(svg).attrib["aria-label"]
    below = [t.text for t in parsed(svg).findall("text") if t.attrib.get("y") == "145"]
    assert below == ["7"]


def test_it_labels_the_last_value_and_says_the_numbers_in_words() -> None:
    svg = line_chart("KL", [Series("objective/kl", [(0, 0.0), (10, 1.25)])])
    assert [t.text for t in parsed(svg).findall("text") if "chart__last" in t.attrib["class"]] == [
        "1.25"
    ]
    assert "from 0 at step 0 to 1.25 at step 10" in parsed(svg).attrib["aria-label"]
    assert parsed(svg).findtext("title") == "KL"


def test_it_draws_what_wanders_as_dots_by_age_and_a_line_through_the_best() -> None:
    wandering = [(0.0, 0.0), (2.0, 3.0), (1.0, 1.0), (3.0, 2.0), (1.5, math.nan), (2.5, 2.5)]
    svg = frontier_chart("Score", [Series("run 1", wandering)], "√KL")
    (line,) = parsed(svg).findall("polyline")
    places = [tuple(map(float, place.split(","))) for place in line.attrib["points"].split()]
    assert places == sorted(places)
    assert len(places) == 4, "three that are the best so far, and on to the last"
    dots = parsed(svg).findall("circle")
    assert [dot.attrib["class"].rpartition("--")[2] for dot in dots] == ["1", "2", "3", "4", "5"]
    assert [float(dot.attrib["r"]) for dot in dots] == [2.5, 2.5, 2.5, 2.5, 4]
    assert "from 0 at √KL 0 to 2.5 at √KL 2.5" in parsed(svg).attrib["aria-label"]
    assert "no values yet" in frontier_chart("Score", [], "√KL")


def test_it_says_so_when_there_is_nothing_to_draw() -> None:
    assert "no values yet" in line_chart("Loss", [Series("loss", [(1, math.nan)])])
    assert "no values yet" in line_chart("Loss", [])


def test_it_escapes_names_and_carries_no_style() -> None:
    svg = line_chart("<b>", [Series('"><script>alert(1)</script>', [(1, 1.0), (2, 2.0)])])
    assert "<script" not in svg
    assert "style=" not in svg
    assert "#" not in svg


@given(st.lists(st.tuples(st.integers(0, 10**6), numbers), max_size=30))
def test_it_draws_any_numbers(points: list[tuple[int, float]]) -> None:
    svg = line_chart("x", [Series("a", sorted(points, key=lambda p: p[0]))])
    root = parsed(svg)
    for line in root.findall("polyline"):
        for place in line.attrib["points"].split():
            assert all(math.isfinite(float(part)) for part in place.split(","))


@given(st.lists(numbers, min_size=1, max_size=500), st.integers(2, 50))
def test_it_keeps_the_extremes_when_it_thins(values: list[float], most: int) -> None:
    points = list(enumerate(values))
    kept = thin(points, most)
    finite = [value for value in values if math.isfinite(value)]
    assert kept[0] == points[0] or math.isnan(values[0])
    assert len(kept) <= max(most + 4, 4)
    if finite:
        of_kept = [value for _, value in kept if math.isfinite(value)]
        assert (min(of_kept), max(of_kept)) == (min(finite), max(finite))


def test_it_ticks_at_few_round_numbers() -> None:
    assert ticks(0, 1) == [0.0, 0.5, 1.0]
    assert ticks(-3.2, 4.1) == [0.0] or len(ticks(-3.2, 4.1)) in (2, 3, 4)
    assert ticks(5, 5) == [5]


def test_it_marks_an_interval_by_which_side_of_one_half_it_lies() -> None:
    def verdict(low: float, high: float) -> str:
        svg = interval_chart("Win rate", [Interval("child", (low + high) / 2, low, high, 100)])
        circle = parsed(svg).find("circle")
        assert circle is not None
        return circle.attrib["class"].rpartition("--")[2]

    assert verdict(0.55, 0.7) == "ok"
    assert verdict(0.45, 0.7) == "neutral"
    assert verdict(0.2, 0.4) == "bad"


def test_it_says_the_interval_in_words() -> None:
    svg = interval_chart("Win rate", [Interval("child", 0.64, 0.55, 0.73, 100)])
    assert "child: 64%, interval 55% to 73%, n 100" in parsed(svg).attrib["aria-label"]


def test_it_shows_the_held_out_accuracy_with_interval_and_n() -> None:
    results = {
        "heldout_accuracy": 0.64,
        "heldout_low": 0.55,
        "heldout_high": 0.73,
        "heldout_pairs": 118,
        "train_pairs": 900,
    }
    first, second = result_figures("reward", results)
    assert first.value == "64.0\u00a0%"
    assert first.note == "95\u00a0% interval 55.0–73.0\u00a0%, n = 118"
    assert (second.label, second.value) == ("Training pairs", "900")


def test_it_shows_figures_that_it_does_not_know() -> None:
    (figure,) = result_figures("sft", {"tokens_seen": 12345})
    assert (figure.label, figure.value) == ("Tokens seen", "12\u202f345")


def test_it_gives_no_interval_where_there_is_none() -> None:
    assert interval(None, None, 0) == "n = 0"
