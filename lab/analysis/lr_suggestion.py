"""What an LR sweep says: its curve, smoothed without lag, the rates it suggests and how far its seeds agree.

The suggestions of a ramp are those that fastai made known: the steepest descent of the loss over log lr, the valley
(two thirds along the longest descent), and a tenth of the rate at the minimum. Its valley takes the end of the descent
minus its length for the start, which is wrong wherever the descent has gaps; here it is followed from its true start.
The one that lab makes its own is a third of the rate at the minimum: over several seeds and without lag the minimum
stands firm enough for that, and on the ladder a tenth leaves up to 0.1 of val unlearned (experiments/LOG.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

SMOOTHING_DECADES = 0.12
"""Standard deviation of the smoothing kernel over log10 lr."""
SLOPE_DECADES = 0.4
"""The same where the slope is read: it takes more smoothing than the loss itself."""
VALLEY_SHARE = 2 / 3
CHOSEN = "minimum/3"
"""The suggestion of a ramp that is lab's own."""
USEFUL_SHARE = 0.1
"""Of the whole fall: where it has fallen so far a rate is useful; where it has risen again so far it is no more."""
SMALLEST_FALL = 0.02
"""Of ln V: a curve that falls by less is flat."""
_FEWEST_POINTS = 3
_NEAR = 0.04
"""Of the whole fall: losses closer than this are taken for equal."""
_NOISE_OF_A_FALL = 6.0

Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class SweepCurve:
    """Loss over learning rate: the median of the seeds, smoothed, and the lowest and highest of them; NaN past the end.

    The end is where half of the seeds have diverged.
    """

    lr: np.ndarray
    loss: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class SweepReading:
    """What is read off a sweep; `suggestion` is one of `suggestions`, or None, and then `reason` says why."""

    curve: SweepCurve
    suggestion: float | None = None
    suggestions: Mapping[str, float] = field(default_factory=dict)
    useful: Interval | None = None
    """From where the loss falls to the edge of stability."""
    spread: Mapping[str, Interval] = field(default_factory=dict)
    """Lowest and highest over the seeds read one by one: of each suggestion, and of both ends of `useful`."""
    reason: str = ""
    remark: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON values; NaN is None."""
        curve = {name: _listed(getattr(self.curve, name)) for name in ("lr", "loss", "low", "high")}
        return {
            "suggestion": self.suggestion,
            "suggestions": dict(self.suggestions),
            "useful": list(self.useful) if self.useful else None,
            "spread": {name: list(interval) for name, interval in self.spread.items()},
            "reason": self.reason,
            "remark": self.remark,
            "curve": curve,
        }


def reading_of(document: Mapping[str, Any]) -> SweepReading:
    """The reading that `document` told."""
    arrays = (np.array(document["curve"][name], dtype=float) for name in ("lr", "loss", "low", "high"))
    return SweepReading(
        SweepCurve(*arrays),
        document["suggestion"],
        document["suggestions"],
        tuple(document["useful"]) if document["useful"] else None,
        {name: (low, high) for name, (low, high) in document["spread"].items()},
        document["reason"],
        document["remark"],
    )


def read_sweep(lr: Sequence[float], losses: np.ndarray, guessing_evenly: float, *, method: str) -> SweepReading:
    """Reads a sweep by the method `ramp` or `runs`: rising rates (n), losses (seeds, n), NaN where a seed is masked."""
    rates = np.asarray(lr, dtype=float)
    curve, noise = _curve(rates, np.asarray(losses, dtype=float))
    reading = _read(curve, noise, guessing_evenly, method)
    if reading.suggestion is None or len(losses) < 2:
        return reading
    alone = [_read(*_curve(rates, each[None]), guessing_evenly, method) for each in np.asarray(losses, dtype=float)]
    return replace(reading, spread=_spread(reading, alone))


def smooth_over_log_lr(
    lr: np.ndarray, loss: np.ndarray, decades: float = SMOOTHING_DECADES
) -> tuple[np.ndarray, np.ndarray, float]:
    """A curve smoothed by centred local lines, so that it neither lags nor bends at its ends; its slope over log10 lr.

    The rates are evenly spaced in log lr. NaN stays NaN and counts nowhere. The third is the standard deviation of what
    was smoothed away, as it remains in the smoothed curve.
    """
    spacing = math.log10(lr[-1] / lr[0]) / (len(lr) - 1)
    width = max(decades, spacing / 2)
    reach = min(math.ceil(4 * width / spacing), len(lr) - 1)
    offset = np.arange(-reach, reach + 1) * spacing
    kernel = np.exp(-0.5 * (offset / width) ** 2)
    known = np.isfinite(loss)
    value = np.where(known, loss, 0.0)

    def total(weights: np.ndarray, of: np.ndarray) -> np.ndarray:
        """Σ_j weights(x_j − x_i) of_j for each i."""
        return np.convolve(of, weights[::-1], mode="full")[reach : reach + len(of)]

    s0, s1, s2 = (total(kernel * offset**power, known.astype(float)) for power in range(3))
    t0, t1 = (total(kernel * offset**power, value) for power in range(2))
    determinant = s0 * s2 - s1**2
    solvable = known & (determinant > 1e-12 * s0 * s0 * width**2)
    safe = np.where(solvable, determinant, 1.0)
    smoothed = np.where(solvable, (s2 * t0 - s1 * t1) / safe, np.where(known, loss, np.nan))
    slope = np.where(solvable, (s0 * t1 - s1 * t0) / safe, np.nan)
    residual = (loss - smoothed)[known]
    averaged = float(kernel.sum() ** 2 / (kernel**2).sum())
    noise = float(np.std(residual)) / math.sqrt(averaged) if len(residual) else 0.0
    return smoothed, slope, noise


def longest_descent(loss: np.ndarray, tolerance: float) -> tuple[int, int] | None:
    """First and last place of the longest descent of a curve without gaps; rises within the tolerance do not end it.

    It starts where the loss is last near its top, wherever that is, and ends where it is first near its bottom; near is
    within the tolerance. None where nothing falls by more than that.
    """
    spans: list[tuple[int, int]] = []
    top = bottom = 0

    def close() -> None:
        if loss[top] - loss[bottom] > tolerance:
            within = loss[top : bottom + 1]
            start = int(np.flatnonzero(within >= loss[top] - tolerance)[-1])
            end = int(np.flatnonzero(within <= loss[bottom] + tolerance)[0])
            spans.append((top + start, top + max(start, end)))

    for place in range(len(loss)):
        if loss[place] > loss[bottom] + tolerance:
            close()
            top = bottom = place
        elif loss[place] < loss[bottom]:
            bottom = place
        elif loss[place] > loss[top]:
            top = bottom = place  # it has not begun to fall
    close()
    return max(spans, key=lambda span: span[1] - span[0], default=None)


@dataclass(frozen=True, eq=False)
class _Reader:
    """A curve without gaps, and what it is measured by."""

    lr: np.ndarray
    loss: np.ndarray
    slope: np.ndarray
    tolerance: float
    minimum: int

    @property
    def fall(self) -> float:
        """From the highest loss before the minimum to it."""
        return float(self.loss[: self.minimum + 1].max() - self.loss[self.minimum])

    def ramp(self) -> dict[str, float]:
        """The suggestions of a ramp."""
        at_minimum = float(self.lr[self.minimum])
        found = {CHOSEN: at_minimum / 3, "minimum/10": at_minimum / 10}
        descent = longest_descent(self.loss, self.tolerance)
        if descent is not None:
            first, last = descent
            found["steepest"] = float(self.lr[first + int(self.slope[first : last + 1].argmin())])
            start, end = np.log10(self.lr[[first, last]])
            found["valley"] = float(10 ** (start + VALLEY_SHARE * (end - start)))
        return found

    def best(self) -> float:
        """The rate at the minimum, between the points by the parabola through the three about it."""
        m = self.minimum
        if not 0 < m < len(self.lr) - 1:
            return float(self.lr[m])
        left, here, right = self.loss[m - 1 : m + 2]
        bend = left - 2 * here + right
        shift = 0.5 * (left - right) / bend if bend > 0 else 0.0
        return float(self.lr[m] * (self.lr[m + 1] / self.lr[m]) ** shift)

    def useful(self) -> Interval:
        """From where the loss has fallen, before the minimum, to where it has risen again, past it."""
        top = int(self.loss[: self.minimum + 1].argmax())
        enough = USEFUL_SHARE * self.fall
        fallen = np.flatnonzero(self.loss[top : self.minimum + 1] <= self.loss[top] - enough)
        risen = np.flatnonzero(self.loss[self.minimum :] > self.loss[self.minimum] + enough)
        last = self.minimum + int(risen[0]) - 1 if len(risen) else len(self.lr) - 1
        return float(self.lr[top + int(fallen[0])]), float(self.lr[last])


def _curve(lr: np.ndarray, losses: np.ndarray) -> tuple[SweepCurve, float]:
    """The median of the smoothed seeds, where fewer than half have diverged, and its noise."""
    parts = [smooth_over_log_lr(lr, each) for each in losses]
    smoothed = np.array([smooth for smooth, _, _ in parts])
    known = np.isfinite(smoothed)
    some = known.any(axis=0)
    ended = np.where(known, smoothed, np.inf)
    with np.errstate(invalid="ignore"):  # the mean of a number and infinity
        median = np.median(ended, axis=0)
    median[~np.isfinite(median)] = np.nan
    low = np.where(some, np.min(ended, axis=0), np.nan)
    high = np.where(some, np.max(np.where(known, smoothed, -np.inf), axis=0), np.nan)
    noise = float(np.median([noise for _, _, noise in parts])) / math.sqrt(len(losses))
    return SweepCurve(lr, median, low, high), noise


def _read(curve: SweepCurve, noise: float, guessing_evenly: float, method: str) -> SweepReading:
    reader = _reader(curve, noise)
    if reader is None:
        if not np.isfinite(curve.loss).any():
            return SweepReading(curve, reason=f"the seeds diverge from lr {curve.lr[0]:.2g} on; lower the range")
        return SweepReading(curve, reason="too few points before the seeds diverge; lower the range")
    if not reader.fall > max(SMALLEST_FALL * guessing_evenly, _NOISE_OF_A_FALL * noise):
        flat = f"the loss falls by no more than {reader.fall:.2g} between lr {reader.lr[0]:.2g} and {reader.lr[-1]:.2g}"
        ended = len(reader.lr) < len(curve.lr)
        return SweepReading(curve, reason=f"{flat}; {'lower' if ended else 'raise'} the range, or train more steps")
    remark = ""
    lowest = int(reader.loss.argmin())
    if lowest == len(curve.lr) - 1:
        remark = f"the loss still falls at lr {curve.lr[-1]:.2g}: a higher range may tell more"
    elif lowest == 0:
        remark = f"the loss is lowest at lr {curve.lr[0]:.2g}, the first: a lower range may tell more"
    if method == "runs":
        best = reader.best()
        return SweepReading(curve, best, {"minimum": best}, reader.useful(), remark=remark)
    suggestions = reader.ramp()
    return SweepReading(curve, suggestions[CHOSEN], suggestions, reader.useful(), remark=remark)


def _reader(curve: SweepCurve, noise: float) -> _Reader | None:
    """The curve up to its end, or None where there are too few points of it."""
    known = np.isfinite(curve.loss)
    count = len(known) if known.all() else int(known.argmin())
    if count < _FEWEST_POINTS:
        return None
    lr, loss = curve.lr[:count], curve.loss[:count]
    lowest = int(loss.argmin())
    tolerance = max(3 * noise, _NEAR * float(loss[: lowest + 1].max() - loss[lowest]))
    minimum = _middle_of_basin(loss, lowest, tolerance)
    _, slope, _ = smooth_over_log_lr(lr, loss, SLOPE_DECADES)
    return _Reader(lr, loss, slope, tolerance, minimum)


def _middle_of_basin(loss: np.ndarray, lowest: int, tolerance: float) -> int:
    """The middle, in log lr, of what lies about the lowest place and is as low: which place is lowest is chance."""
    higher = np.flatnonzero(loss > loss[lowest] + tolerance)
    left = int(higher[higher < lowest].max(initial=-1)) + 1
    right = int(higher[higher > lowest].min(initial=len(loss))) - 1
    return (left + right) // 2


def _spread(reading: SweepReading, alone: Sequence[SweepReading]) -> dict[str, Interval]:
    found: dict[str, list[float]] = {name: [] for name in (*reading.suggestions, "useful from", "useful to")}
    for each in alone:
        for name in reading.suggestions:
            if name in each.suggestions:
                found[name].append(each.suggestions[name])
        if each.useful is not None:
            found["useful from"].append(each.useful[0])
            found["useful to"].append(each.useful[1])
    return {name: (min(values), max(values)) for name, values in found.items() if values}


def _listed(values: np.ndarray) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
