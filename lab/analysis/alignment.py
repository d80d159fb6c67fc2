"""The curves of a group on one x-axis, even where their steps differ: their mean, its band, and when a loss is reached.

Arrays in, arrays out; a curve is its places on the x-axis (E,) and its values (E,).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lab.analysis.intervals import t_quantile

BandKind = Literal["sd", "range", "interval"]
BANDS: tuple[BandKind, ...] = ("interval", "range", "sd")
MOST_PLACES = 1000
"""Places of a group's mean; a screen shows fewer."""


@dataclass(frozen=True, eq=False)
class Band:
    """The mean of R curves and how far they reach around it, at G places: all arrays (G,). NaN where one has a gap."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: int


def on_axis(steps: np.ndarray, factor: float = 1.0) -> np.ndarray:
    """Where steps stand on an axis of which each step is so much: 1, its characters, or its FLOPs."""
    return np.asarray(steps * factor, dtype=float)


def on_clock(steps: np.ndarray, characters_per_step: float, speed_steps: np.ndarray, speeds: np.ndarray) -> np.ndarray:
    """The seconds of training alone by which steps were done; from the mean characters a second up to some steps."""
    known = np.isfinite(speeds) & (speeds > 0)
    clock = np.maximum.accumulate(speed_steps[known] * characters_per_step / speeds[known])
    at, seconds = np.concatenate([[0], speed_steps[known]]), np.concatenate([[0.0], clock])
    return np.asarray(np.interp(steps, at, seconds))


def aligned(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Places (G,) that all curves reach, and each curve there, (R, G), straight between its points.

    Beyond where the shortest ends there is nothing: a mean of fewer runs would jump.
    """
    drawn = [(x, y) for x, y in curves if len(x)]
    if not drawn:
        return np.empty(0), np.empty((0, 0))
    start, end = max(x[0] for x, _ in drawn), min(x[-1] for x, _ in drawn)
    places = np.unique(np.concatenate([x for x, _ in drawn]))
    places = places[(places >= start) & (places <= end)]
    if len(places) > MOST_PLACES:
        places = places[np.linspace(0, len(places) - 1, MOST_PLACES).round().astype(int)]
    return places, np.stack([np.interp(places, x, y) for x, y in drawn])


def band(curves: Sequence[tuple[np.ndarray, np.ndarray]], kind: BandKind = "interval") -> Band:
    """The mean of a group's curves with its band: ± one sd, from the lowest to the highest, or its 95 % interval.

    Of one curve the band is the curve itself.
    """
    places, rows = aligned(curves)
    count = len(rows)
    if not len(places):
        return Band(places, np.empty(0), np.empty(0), np.empty(0), count)
    mean = rows.mean(axis=0)  # (R, G) -> (G,)
    if count == 1:
        return Band(places, mean, mean, mean, count)
    if kind == "range":
        return Band(places, mean, rows.min(axis=0), rows.max(axis=0), count)
    reach = rows.std(axis=0, ddof=1)
    if kind == "interval":
        reach = reach * t_quantile(count - 1) / np.sqrt(count)
    return Band(places, mean, mean - reach, mean + reach, count)


def first_reached(x: np.ndarray, y: np.ndarray, target: float) -> float | None:
    """Where a curve first comes down to a value, straight between its points; None where it never does."""
    below = np.flatnonzero(y <= target)  # NaN is not
    if not len(below):
        return None
    at = int(below[0])
    if at == 0 or not np.isfinite(y[at - 1]):
        return float(x[at])
    share = (y[at - 1] - target) / (y[at - 1] - y[at])
    return float(x[at - 1] + share * (x[at] - x[at - 1]))
