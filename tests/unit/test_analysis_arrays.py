"""Downsampling, smoothing and ticks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.analysis.downsample import downsample, finite_segments
from lab.analysis.smoothing import smooth
from lab.analysis.ticks import linear_ticks, log_ticks, tick_labels

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(NUMBERS, min_size=1, max_size=400), st.integers(1, 40))
def test_downsampling_keeps_ends_and_extremes_of_each_column(values: list[float], columns: int) -> None:
    y = np.array(values)
    x = np.arange(len(y), dtype=float)
    kept_x, kept_y = downsample(x, y, columns)
    assert len(kept_x) <= max(2 * columns + 2, 2)
    assert (np.diff(kept_x) > 0).all()
    assert (kept_x[0], kept_x[-1]) == (x[0], x[-1])
    assert set(zip(kept_x.tolist(), kept_y.tolist(), strict=True)) <= set(zip(x.tolist(), values, strict=True))
    if len(x) > 1:
        column = np.minimum((x / x[-1] * columns).astype(int), columns - 1)
        kept_column = np.minimum((kept_x / x[-1] * columns).astype(int), columns - 1)
        for each in range(columns):
            if (column == each).any():
                assert kept_y[kept_column == each].min() == y[column == each].min()
                assert kept_y[kept_column == each].max() == y[column == each].max()


def test_downsampling_where_all_stands_in_one_place() -> None:
    x, y = downsample(np.full(100, 3.0), np.arange(100.0), 10)
    assert (y.min(), y.max()) == (0, 99)
    assert len(x) < 5
    assert len(downsample(np.zeros(0), np.zeros(0), 10)[0]) == 0


def test_segments_lie_between_what_is_not_finite() -> None:
    y = np.array([math.nan, 1, 2, math.inf, 4, math.nan])
    segments = finite_segments(np.arange(6.0), y)
    assert [part.tolist() for _, part in segments] == [[1, 2], [4]]
    assert finite_segments(np.zeros(0), np.zeros(0)) == []
    assert finite_segments(np.arange(2.0), np.full(2, math.nan)) == []


@given(st.lists(st.one_of(NUMBERS, st.just(math.nan)), max_size=600), st.sampled_from([0.0, 0.5, 0.97, 0.999]))
def test_smoothing_is_the_debiased_moving_average(values: list[float], weight: float) -> None:
    expected, average, seen = [], 0.0, 0
    for value in values:
        if math.isfinite(value):
            seen += 1
            average = weight * average + (1 - weight) * value
            expected.append(average / (1 - weight**seen))
        else:
            expected.append(value)
    np.testing.assert_allclose(smooth(np.array(values), weight), np.array(expected, dtype=float), rtol=1e-6, atol=1e-5)


def test_smoothing_starts_at_the_first_value_and_keeps_a_constant() -> None:
    np.testing.assert_allclose(smooth(np.full(1000, 4.2), 0.99), 4.2)
    with pytest.raises(ValueError, match="weight=1"):
        smooth(np.zeros(3), 1)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 5000, ["0", "1k", "2k", "3k", "4k", "5k"]),
        (0, 200_000, ["0", "50k", "100k", "150k", "200k"]),
        (2.02, 3.1, ["2.2", "2.4", "2.6", "2.8", "3.0"]),
        (0, 1e-3, ["0", "2e-4", "4e-4", "6e-4", "8e-4", "1e-3"]),
        (0, 2.2e12, ["0", "500G", "1.0T", "1.5T", "2.0T"]),
    ],
)
def test_linear_ticks_are_round(low: float, high: float, labels: list[str]) -> None:
    assert tick_labels(linear_ticks(low, high, 6)) == labels


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (10, 2e5, ["10", "100", "1k", "10k", "100k"]),
        (1e-4, 1, ["1e-4", "1e-3", "0.01", "0.1", "1"]),
        (2, 4.3, ["2", "3", "4"]),
        (2.05, 2.6, ["2.1", "2.2", "2.3", "2.4", "2.5", "2.6"]),
    ],
)
def test_log_ticks_are_round(low: float, high: float, labels: list[str]) -> None:
    assert tick_labels(log_ticks(low, high, 6)) == labels


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9), st.integers(1, 20))
def test_ticks_stay_within_their_axis_and_number(low: float, span: float, most: int) -> None:
    high = low + span
    for ticks in (linear_ticks(low, high, most), log_ticks(abs(low) + 1e-6, abs(low) + 1e-6 + span, most)):
        assert len(ticks) <= max(most, 1)
        assert len(tick_labels(ticks)) == len(ticks)
