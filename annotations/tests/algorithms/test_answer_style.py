from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.algorithms.answer_style import STYLES, style_of, styles_of


def test_it_names_what_it_measures():
    assert len(style_of("a frog")) == len(STYLES)


def test_it_measures_length_on_a_logarithmic_scale():
    assert style_of(" frog\n")[0] == pytest.approx(log(5))
    assert style_of("x" * 199)[0] - style_of("x" * 99)[0] == pytest.approx(log(2))


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("- a\n- b", 2),
        ("* a\n  + b\n\t• c", 3),
        ("1. a\n2) b\n10. c", 3),
        ("-5 degrees\n1.5 litres\n**bold**\n---", 0),
        ("In 1984. A year", 0),
        ("1984. A year at the start of a line", 0),
        ("-\n- ", 0),
    ],
)
def test_it_counts_the_items_of_lists(text, items):
    assert style_of(text)[1] == items


@given(st.lists(st.text(alphabet="-1.* \n\tfé"), max_size=6))
def test_many_texts_at_once_are_measured_as_each_alone(texts):
    expected = np.array([style_of(text) for text in texts]).reshape(-1, len(STYLES))
    np.testing.assert_allclose(styles_of(texts), expected)
