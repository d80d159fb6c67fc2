"""What a few seeds tell of a mean, and of the difference of two: 95 % intervals by Student's t."""

from __future__ import annotations

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean, and how far on either side of it the true one lies with 95 % confidence.

    `half_width` is None where fewer than two values were there: then nothing is known of their scatter.
    """

    mean: float
    half_width: float | None
    count: int
    degrees: float | None = None
    """Of freedom, of the t distribution that the half width comes from."""


def mean_interval(values: Sequence[float]) -> Interval | None:
    """The mean of values; None where there are none."""
    if not values:
        return None
    if len(values) < 2:
        return Interval(values[0], None, 1)
    error = statistics.stdev(values) / math.sqrt(len(values))
    degrees = len(values) - 1
    return Interval(statistics.fmean(values), t_quantile(degrees) * error, len(values), degrees)


def difference_interval(new: Mapping[K, float], old: Mapping[K, float]) -> Interval | None:
    """The mean of `new` less that of `old`, both by seed; None where one of them is empty.

    With the same seeds on both sides the runs saw the same batches, and the differences are taken seed by seed; else
    the interval is Welch's (1947), whose degrees of freedom allow for unequal scatter.
    """
    if not new or not old:
        return None
    if new.keys() == old.keys():
        return mean_interval([new[seed] - old[seed] for seed in new])
    count = min(len(new), len(old))
    difference = statistics.fmean(new.values()) - statistics.fmean(old.values())
    if count < 2:
        return Interval(difference, None, count)
    errors = [statistics.variance(values.values()) / len(values) for values in (new, old)]
    if not sum(errors):
        return Interval(difference, 0.0, count)
    shares = [error**2 / (len(values) - 1) for error, values in zip(errors, (new, old), strict=True)]
    degrees = sum(errors) ** 2 / sum(shares)
    return Interval(difference, t_quantile(degrees) * math.sqrt(sum(errors)), count, degrees)


def p_value(difference: Interval) -> float | None:
    """How often chance alone would show a difference as large, by Student's t, two-sided; None of a single value."""
    from scipy.special import stdtr  # takes half a second to import

    if difference.half_width is None:
        return None
    if difference.half_width == 0 or difference.degrees is None:  # the same difference with every seed
        return 0.0 if difference.mean else 1.0
    t = difference.mean / difference.half_width * t_quantile(difference.degrees)
    return float(2 * stdtr(difference.degrees, -abs(t)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number by Holm (1979): the chance of one false alarm among all stays below p."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def seeds_needed(difference: Interval, effect: float, *, most: int = 100) -> int | None:
    """Seeds with which an interval of the same scatter would be no wider than an effect; None above `most`."""
    if not difference.half_width or difference.degrees is None:
        return None
    scatter = difference.half_width / t_quantile(difference.degrees) * math.sqrt(difference.count)
    for count in range(difference.count + 1, most + 1):
        # A pair of n has n - 1 degrees of freedom; without pairs there are at least as many.
        if t_quantile(count - 1) * scatter / math.sqrt(count) <= effect:
            return count
    return None


def t_quantile(degrees: float) -> float:
    """How many standard errors a 95 % interval reaches to either side, by Student's t."""
    from scipy.special import stdtrit  # takes half a second to import

    return float(stdtrit(degrees, (1 + LEVEL) / 2))
