"""What a few seeds tell of a mean, and of the difference of two: 95 % intervals by Student's t."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean, and how far on either side of it the true one lies with 95 % confidence.

    `half_width` is None where fewer than two values were there: then nothing is known of their scatter.
    """

    mean: float
    half_width: float | None
    count: int


def mean_interval(values: Sequence[float]) -> Interval | None:
    """The mean of values; None where there are none."""
    if not values:
        return None
    if len(values) < 2:
        return Interval(values[0], None, 1)
    error = statistics.stdev(values) / math.sqrt(len(values))
    return Interval(statistics.fmean(values), t_quantile(len(values) - 1) * error, len(values))


def difference_interval(new: Mapping[int, float], old: Mapping[int, float]) -> Interval | None:
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
    return Interval(difference, t_quantile(sum(errors) ** 2 / sum(shares)) * math.sqrt(sum(errors)), count)


def t_quantile(degrees: float) -> float:
    """How many standard errors a 95 % interval reaches to either side, by Student's t."""
    from scipy.special import stdtrit  # takes half a second to import

    return float(stdtrit(degrees, (1 + LEVEL) / 2))
