"""Round places for the ticks of an axis, and how they are written."""

from __future__ import annotations

import itertools
import math

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SMALL = 1e-2
"""Below it, numbers are written as 5e-4."""


def linear_ticks(low: float, high: float, most: int) -> list[float]:
    """Round, evenly spaced numbers from `low` to `high`, at most so many."""
    if not high > low or most < 1:
        return [low]
    rough = (high - low) / most
    magnitude = 10.0 ** math.floor(math.log10(rough))
    for step in (factor * magnitude for factor in _STEPS):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [index * step for index in range(first, last + 1)]
    return [low]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers for a logarithmic axis: powers of ten, with what lies between where there are few."""
    if low <= 0 or not high > low or most < 1:
        return [low]
    for factors in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        exponents = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
        ticks = [factor * 10.0**exponent for exponent in exponents for factor in factors]
        ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if 2 <= len(ticks) <= most:
            return ticks
    if len(ticks) < 2:  # less than a decade, between two powers of ten
        return linear_ticks(low, high, most)
    return ticks[:: math.ceil(len(ticks) / most)]


def tick_labels(ticks: list[float]) -> list[str]:
    """How ticks are written: SI suffixes and powers of ten, with the decimals that they need."""
    scaled = [_scaled(tick) for tick in ticks]
    needed = [_decimals_needed(mantissa) for mantissa, _ in scaled]
    if _evenly_spaced(ticks):  # these line up under each other: 2.0 beside 2.5
        by_suffix: dict[str, int] = {}
        for (mantissa, suffix), decimals in zip(scaled, needed, strict=True):
            by_suffix[suffix] = max(by_suffix.get(suffix, 0), decimals if mantissa else 0)
        needed = [by_suffix[suffix] for _, suffix in scaled]
    return [
        f"{mantissa:.{decimals}f}{suffix}" if mantissa else "0"
        for (mantissa, suffix), decimals in zip(scaled, needed, strict=True)
    ]


def _scaled(value: float) -> tuple[float, str]:
    size = abs(value)
    for unit, suffix in _SI:
        if size >= unit * (1 - 1e-9):
            return value / unit, suffix
    if 0 < size < _SMALL:
        exponent = math.floor(math.log10(size) + 1e-9)
        return value / 10.0**exponent, f"e{exponent}"
    return value, ""


def _decimals_needed(value: float) -> int:
    return next((n for n in range(4) if abs(round(value, n) - value) <= abs(value) * 1e-6), 4)


def _evenly_spaced(ticks: list[float]) -> bool:
    gaps = [after - before for before, after in itertools.pairwise(ticks)]
    return bool(gaps) and max(gaps) - min(gaps) <= 1e-6 * max(abs(gap) for gap in gaps)
