"""Smoothing a noisy metric without shifting its start."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_BLOCK = 256


def smooth(values: np.ndarray, weight: float) -> np.ndarray:
    """The debiased exponential moving average, which starts at the first value instead of at zero.

    `weight`, from 0 (no smoothing) to below 1, is what the past keeps at each value. Non-finite values stay as they
    are and the average goes on behind them as if they were not there. Raises `ValueError` on another weight.
    """
    if not 0 <= weight < 1:
        raise ValueError(f"weight={weight} must be from 0 to below 1")
    values = np.asarray(values, dtype=float)
    smoothed = values.copy()
    finite = np.flatnonzero(np.isfinite(values))
    if weight == 0 or not len(finite):
        return smoothed
    known = values[finite]
    corrections = 1 - weight ** np.arange(1, len(known) + 1)
    smoothed[finite] = _moving_average(known, weight) / corrections
    return smoothed


@lru_cache(maxsize=16)
def _block_weights(weight: float) -> tuple[np.ndarray, np.ndarray]:
    """What each value of a block counts in each average (256, 256), and the average before the block (256)."""
    lag = np.arange(_BLOCK)[:, None] - np.arange(_BLOCK)
    triangle = np.where(lag >= 0, (1 - weight) * weight ** np.maximum(lag, 0), 0.0)
    return triangle, weight ** np.arange(1, _BLOCK + 1)


def _moving_average(values: np.ndarray, weight: float) -> np.ndarray:
    """Of each value and those before it, starting at zero; block by block, each a product with a fixed triangle."""
    triangle, decay = _block_weights(weight)
    average = np.empty_like(values)
    before = 0.0
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        n = len(block)
        average[start : start + n] = triangle[:n, :n] @ block + decay[:n] * before
        before = float(average[start + n - 1])
    return average
