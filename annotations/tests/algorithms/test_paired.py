"""Two sides on the same prompts: worked by hand, and how often the interval holds."""

from __future__ import annotations

import numpy as np
import pytest

from annotations.algorithms.paired import jackknife, mean, paired, paired_whole


def test_it_agrees_with_a_worked_example() -> None:
    found = paired([2.0, 4.0, 9.0], [1.0, 2.0, 3.0], [1, 2, 3])
    assert found is not None
    # differences 1, 2, 6: mean 3, variance 7, error √(7/3), Student's 4.30 at two degrees
    assert found.difference.value == 3
    assert found.difference.low == pytest.approx(3 - 4.30 * (7 / 3) ** 0.5, abs=0.4)


def test_a_prompt_counts_once_however_many_answers_it_has() -> None:
    once = paired([1.0, 5.0], [0.0, 0.0], ["a", "b"])
    often = paired([1.0, 1.0, 1.0, 5.0], [0.0] * 4, ["a", "a", "a", "b"])
    assert once == often


def test_the_sides_may_be_swapped() -> None:
    one, other = paired([1.0, 4.0], [3.0, 2.0], [1, 2]), paired([3.0, 2.0], [1.0, 4.0], [1, 2])
    assert one is not None
    assert other is not None
    assert one.difference.value == -other.difference.value
    assert one.child == other.parent


def test_one_prompt_gives_no_interval_and_none_gives_nothing() -> None:
    found = paired([1.0, 2.0], [0.0, 0.0], ["a", "a"])
    assert found is not None
    assert (found.difference.value, found.difference.low) == (1.5, None)
    assert paired([], [], []) is None
    assert paired_whole(len, [], [], []) is None


def test_the_jackknife_of_a_mean_is_the_interval_of_a_mean() -> None:
    values = [1.0, 2.0, 6.0, 7.0]
    keys = list(range(4))
    found = jackknife(lambda rows: sum(values[row] for row in rows) / len(rows), keys, keys)
    expected = mean(values)
    assert found.low == pytest.approx(expected.low)
    assert found.high == pytest.approx(expected.high)


def test_its_interval_holds_as_often_as_it_says() -> None:
    draw = np.random.default_rng(7)
    held = 0
    for _ in range(400):
        ours, theirs = draw.normal(0.3, 1, 24), draw.normal(0, 1, 24)
        found = paired(ours.tolist(), theirs.tolist(), np.arange(24).tolist())
        assert found is not None
        assert found.difference.low is not None
        assert found.difference.high is not None
        held += found.difference.low <= 0.3 <= found.difference.high
    assert 0.92 <= held / 400 <= 0.98
