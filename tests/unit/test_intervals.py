"""Intervals of means and differences over seeds."""

from __future__ import annotations

import numpy as np
import pytest

from lab.analysis.intervals import difference_interval, mean_interval


def test_one_value_says_nothing_of_its_scatter() -> None:
    assert mean_interval([]) is None
    one = mean_interval([2.5])
    assert one is not None
    assert (one.mean, one.half_width, one.count) == (2.5, None, 1)


def test_the_interval_of_three_values_is_students() -> None:
    three = mean_interval([2.0, 2.1, 2.2])
    assert three is not None
    assert three.mean == pytest.approx(2.1)
    assert three.half_width == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-5)


def test_an_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).normal(2.0, 0.02, size=(2000, 4))
    intervals = [mean_interval(list(row)) for row in draws]
    held = [abs(each.mean - 2.0) <= each.half_width for each in intervals if each is not None and each.half_width]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_the_same_seeds_are_compared_one_by_one() -> None:
    old, new = {1: 2.50, 2: 2.60, 3: 2.70}, {1: 2.40, 2: 2.51, 3: 2.59}
    difference = difference_interval(new, old)
    assert difference is not None
    assert difference.mean == pytest.approx(-0.1)
    assert difference.half_width == pytest.approx(4.302653 * 0.01 / 3**0.5, rel=1e-5), "not of the scatter over seeds"


def test_other_seeds_are_compared_by_welch() -> None:
    difference = difference_interval({1: 2.0, 2: 2.2}, {3: 2.5, 4: 2.7})
    assert difference is not None
    assert difference.mean == pytest.approx(-0.5)
    assert difference.half_width == pytest.approx(4.302653 * (0.02 / 2 + 0.02 / 2) ** 0.5, rel=1e-5)
    equal = difference_interval({1: 2.0, 2: 2.0}, {3: 2.0, 4: 2.0})
    assert equal is not None
    assert equal.half_width == 0.0


def test_a_difference_needs_both() -> None:
    assert difference_interval({}, {1: 2.0}) is None
    single = difference_interval({1: 2.0}, {2: 2.5, 3: 2.6})
    assert single is not None
    assert single.half_width is None
