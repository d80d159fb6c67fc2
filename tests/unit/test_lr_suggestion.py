"""What is read off an LR sweep: on curves whose answer is known, and whatever the curve."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.analysis.lr_suggestion import longest_descent, read_sweep, reading_of, smooth_over_log_lr

EVENLY = math.log(65)
LR = np.geomspace(1e-5, 10, 990)


def valley(
    lr: np.ndarray, *, falls_at: float = 1e-3, minimum: float = 1e-2, rises_at: float = 1e-1, top: float = 4.2
) -> np.ndarray:
    """A loss that falls about one rate, is lowest at another, and breaks beyond a third; steep as a ramp's curve is."""
    x = np.log10(lr)
    fall = (top - 2.5) / (1 + np.exp(-6 * (math.log10(falls_at) - x)))
    bowl = 0.05 * (x - math.log10(minimum)) ** 2
    return 2.5 + fall + bowl + 4 * np.maximum(0, x - math.log10(rises_at)) ** 2


def noisy(loss: np.ndarray, seeds: int, spread: float, seed: int = 0) -> np.ndarray:
    return loss + spread * np.random.default_rng(seed).standard_normal((seeds, len(loss)))


def test_a_clean_curve_is_read_where_it_was_drawn() -> None:
    reading = read_sweep(LR, valley(LR)[None], EVENLY, method="ramp")
    assert reading.suggestions["steepest"] == pytest.approx(1e-3, rel=0.2)
    assert 5e-4 < reading.suggestions["minimum/10"] < 3e-3
    assert reading.suggestion == reading.suggestions["minimum/3"]
    assert reading.suggestion == pytest.approx(10 / 3 * reading.suggestions["minimum/10"])
    low, high = reading.useful or (0, 0)
    assert 3e-5 < low < 1e-3
    assert 1e-1 < high < 3e-1
    assert reading.reason == ""


def test_noise_moves_the_suggestions_by_less_than_a_factor_of_two() -> None:
    truth = read_sweep(LR, valley(LR)[None], EVENLY, method="ramp")
    for seed in range(5):
        reading = read_sweep(LR, noisy(valley(LR), 4, 0.1, seed), EVENLY, method="ramp")
        for name, lr in reading.suggestions.items():
            assert 0.5 < lr / truth.suggestions[name] < 2, name
            low, high = reading.spread[name]
            assert high / low < 2, name


def test_smoothing_neither_lags_nor_bends_a_line_at_its_ends() -> None:
    line = 3 - 0.4 * np.log10(LR)
    smoothed, slope, _ = smooth_over_log_lr(LR, line)
    assert smoothed == pytest.approx(line)
    assert slope == pytest.approx(np.full(len(LR), -0.4))


def test_smoothing_is_the_same_from_either_side() -> None:
    curve = noisy(valley(LR), 1, 0.1)[0]
    forward, _, _ = smooth_over_log_lr(LR, curve)
    backward, _, _ = smooth_over_log_lr(LR, curve[::-1])
    assert forward == pytest.approx(backward[::-1])


def test_masked_values_stay_masked_and_count_nowhere() -> None:
    curve = valley(LR)
    masked = np.where(LR > 1, np.nan, curve)
    smoothed, _, _ = smooth_over_log_lr(LR, masked)
    assert np.isnan(smoothed[LR > 1]).all()
    assert smoothed[LR < 0.1] == pytest.approx(smooth_over_log_lr(LR, curve)[0][LR < 0.1])


def test_the_descent_is_followed_from_its_true_start() -> None:
    # A plateau of 40, then a fall of 20 with small rises in it, then a climb: an end less the length of the longest
    # decreasing subsequence would lie inside the fall.
    falling = np.linspace(4, 2, 21)
    falling[5] += 0.05
    falling[11] += 0.05
    loss = np.concatenate([np.full(40, 4.0), falling, np.linspace(2, 5, 10)])
    start, end = longest_descent(loss, 0.06) or (0, 0)
    assert start == 40
    assert end == 60


def test_the_longest_of_several_descents_is_taken() -> None:
    loss = np.concatenate([np.linspace(4, 3, 10), np.linspace(3.5, 1, 30), np.linspace(2, 1.5, 15)])
    start, end = longest_descent(loss, 0.01) or (0, 0)
    assert (start, end) == (10, 39)


def test_nothing_that_falls_has_no_descent() -> None:
    assert longest_descent(np.linspace(1, 2, 20), 0.01) is None


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_a_flat_curve_yields_a_reason_and_no_number(spread: float) -> None:
    reading = read_sweep(LR, noisy(np.full(len(LR), 4.17), 4, spread), EVENLY, method="ramp")
    assert reading.suggestion is None
    assert reading.suggestions == {}
    assert reading.useful is None
    assert "falls by no more than" in reading.reason
    assert "raise the range" in reading.reason


def test_a_sweep_that_diverges_at_once_says_to_lower_the_range() -> None:
    losses = np.full((4, len(LR)), np.nan)
    assert "lower the range" in read_sweep(LR, losses, EVENLY, method="ramp").reason
    losses[:, :2] = 4.0
    assert "lower the range" in read_sweep(LR, losses, EVENLY, method="ramp").reason


def test_a_loss_that_only_rises_has_no_suggestion() -> None:
    reading = read_sweep(LR, np.linspace(4, 6, len(LR))[None], EVENLY, method="ramp")
    assert reading.suggestion is None
    assert reading.reason


def test_a_curve_that_still_falls_at_the_end_says_so() -> None:
    lr = np.geomspace(1e-5, 3e-3, 400)
    reading = read_sweep(lr, valley(lr)[None], EVENLY, method="ramp")
    assert reading.suggestion is not None
    assert "a higher range" in reading.remark


def test_the_median_ends_where_half_of_the_seeds_have_diverged() -> None:
    losses = np.tile(valley(LR), (4, 1))
    for row, last in enumerate((0.02, 0.05, 0.1, 0.2)):
        losses[row, last < LR] = np.nan
    curve = read_sweep(LR, losses, EVENLY, method="ramp").curve
    ends = LR[np.isfinite(curve.loss)][-1]
    assert ends == pytest.approx(0.05, rel=0.02)
    assert LR[np.isfinite(curve.low)][-1] == pytest.approx(0.2, rel=0.02)


def test_fixed_rates_suggest_the_best_between_the_points() -> None:
    lr = np.geomspace(1e-4, 1, 9)
    losses = 2 + (np.log10(lr) - math.log10(7e-3)) ** 2
    reading = read_sweep(lr, losses[None], EVENLY, method="runs")
    assert reading.suggestion == pytest.approx(7e-3, rel=0.25)
    assert set(reading.suggestions) == {"minimum"}


def test_a_reading_comes_back_from_its_json() -> None:
    losses = np.where(LR > 1, np.nan, noisy(valley(LR), 3, 0.1))
    reading = read_sweep(LR, losses, EVENLY, method="ramp")
    text = json.dumps(reading.document(), allow_nan=False)
    back = reading_of(json.loads(text))
    assert back.document() == reading.document()
    assert np.isnan(back.curve.loss[-1])


curves = st.lists(
    st.one_of(st.floats(-50, 50), st.just(math.nan), st.just(math.inf)),
    min_size=3,
    max_size=60,
)


@given(curves, st.integers(1, 3), st.sampled_from(["ramp", "runs"]))
@settings(max_examples=200)
def test_whatever_the_curve_the_reading_is_whole(values: list[float], seeds: int, method: str) -> None:
    lr = np.geomspace(1e-5, 10, len(values))
    losses = np.array([np.roll(values, shift) for shift in range(seeds)])
    losses[~np.isfinite(losses)] = np.nan
    reading = read_sweep(lr, losses, EVENLY, method=method)
    json.dumps(reading.document(), allow_nan=False)
    assert (reading.suggestion is None) == bool(reading.reason)
    if reading.suggestion is not None:
        assert reading.suggestion in reading.suggestions.values()
        assert reading.useful is not None
        assert lr[0] * (1 - 1e-9) <= reading.useful[0] <= reading.useful[1] <= lr[-1] * (1 + 1e-9)
        assert all(lr[0] / 10.01 <= suggested <= lr[-1] * 1.01 for suggested in reading.suggestions.values())


@given(st.floats(0.2, 5), st.integers(0, 1000))
@settings(max_examples=25)
def test_a_shifted_curve_is_read_shifted(factor: float, seed: int) -> None:
    losses = noisy(valley(LR), 4, 0.05, seed)
    here = read_sweep(LR, losses, EVENLY, method="ramp")
    there = read_sweep(LR * factor, losses, EVENLY, method="ramp")
    for name, lr in here.suggestions.items():
        assert there.suggestions[name] == pytest.approx(lr * factor)
