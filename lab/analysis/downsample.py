"""Cutting a metric to what a panel can show: no spike lost, nothing handed on that is not a number."""

from __future__ import annotations

import numpy as np


def downsample(
    x: np.ndarray, y: np.ndarray, columns: int, span: tuple[float, float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest point of each of so many equal columns of x, in order of x, with the two ends.

    `x` ascends and both are finite. The columns part `span`, from the first x to the last where none is given: with
    one that stays, a metric that grows keeps the points of its past. A line through what is returned covers the same
    cells as one through all points.
    """
    if columns < 1 or len(x) <= 2 * columns:
        return x, y
    first, last = (float(x[0]), float(x[-1])) if span is None else span
    if last <= first or x[-1] <= x[0]:
        kept = np.unique([0, int(y.argmin()), int(y.argmax()), len(x) - 1])
        return x[kept], y[kept]
    column = np.clip(((x - first) / (last - first) * columns).astype(np.int64), 0, columns - 1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    counts = np.diff(starts, append=len(x))
    keep = np.zeros(len(x), dtype=bool)
    keep[[0, -1]] = True
    for extreme in (np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)):
        hits = np.flatnonzero(y == np.repeat(extreme, counts))
        keep[hits[np.diff(column[hits], prepend=-1) != 0]] = True  # the first in each column
    return x[keep], y[keep]


def finite_segments(x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The stretches of a line between its non-finite values, each of one point or more."""
    finite = np.isfinite(x) & np.isfinite(y)
    if finite.all():
        return [(x, y)] if len(x) else []
    edges = np.flatnonzero(np.diff(finite.astype(np.int8), prepend=0, append=0))
    return [(x[start:stop], y[start:stop]) for start, stop in edges.reshape(-1, 2)]
