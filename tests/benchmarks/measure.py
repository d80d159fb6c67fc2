"""Two ways of doing the same thing, timed in turns, and their ratio."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

most_repetitions = 1000
"""No benchmark repeats itself more often; the command line sets it."""


@dataclass(frozen=True)
class Comparison:
    """What was measured: seconds of ours and of the baseline, one pair a repetition."""

    name: str
    ours: tuple[float, ...]
    baseline: tuple[float, ...]
    target: str
    note: str = ""
    cpu_ratio: float | None = None
    """By the processor's time instead of the clock's, which other work on the machine changes less."""

    @property
    def ratios(self) -> list[float]:
        """How many times faster ours was, repetition by repetition."""
        return [theirs / mine for mine, theirs in zip(self.ours, self.baseline, strict=True)]

    def document(self) -> dict[str, object]:
        """The comparison as JSON."""
        return {
            "name": self.name,
            "ours_seconds": statistics.median(self.ours),
            "baseline_seconds": statistics.median(self.baseline),
            "ratio": statistics.median(self.ratios),
            "ratio_min": min(self.ratios),
            "ratio_max": max(self.ratios),
            "cpu_ratio": self.cpu_ratio,
            "target": self.target,
            "note": self.note,
        }


@dataclass(frozen=True)
class Figure:
    """One number against a limit that it should stay under, where there is nothing to compare with."""

    name: str
    value: float
    unit: str
    limit: float
    note: str = ""

    def document(self) -> dict[str, object]:
        """The figure as JSON."""
        return {
            "name": self.name,
            "value": self.value if math.isfinite(self.value) else None,  # None: it never came to it
            "unit": self.unit,
            "limit": self.limit,
            "met": self.value <= self.limit,
            "note": self.note,
        }


def compare(
    name: str,
    ours: Callable[[], object],
    baseline: Callable[[], object],
    *,
    repetitions: int,
    target: str,
    note: str = "",
) -> Comparison:
    """Runs both in turns, ours first and then last, so that a machine that warms up or slows down favours neither."""
    times: dict[str, list[float]] = {"ours": [], "baseline": []}
    works: dict[str, list[float]] = {"ours": [], "baseline": []}
    for repetition in range(min(repetitions, most_repetitions)):
        order = [("ours", ours), ("baseline", baseline)]
        for side, call in order if repetition % 2 == 0 else reversed(order):
            start, worked = time.perf_counter(), time.process_time()
            call()
            times[side].append(time.perf_counter() - start)
            works[side].append(time.process_time() - worked)
    cpu_ratio = statistics.median(works["baseline"]) / max(statistics.median(works["ours"]), 1e-9)
    return Comparison(name, tuple(times["ours"]), tuple(times["baseline"]), target, note, cpu_ratio)


def reaching_the_same(comparison: Comparison, ours: float, theirs: float, *, within: float) -> Comparison:
    """The comparison with both sides' losses in its note. Raises `AssertionError` where they are too far apart."""
    said = f"loss {ours:.3f} and {theirs:.3f}"
    assert abs(ours - theirs) <= within, f"{comparison.name}: {said} are not the same within {within}"
    return replace(comparison, note=f"{comparison.note}; {said}")


def machine() -> str:
    """What the figures were measured on."""
    import torch

    model = platform.processor() or platform.machine()
    with open("/proc/cpuinfo") if os.path.exists("/proc/cpuinfo") else open(os.devnull) as file:  # noqa: PTH110, PTH123
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), model)
    busy = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{model}, {os.cpu_count()} cores, {busy}, {versions}"
