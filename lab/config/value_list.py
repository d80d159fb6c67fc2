"""Several values of one setting, as people write them: `1e-3, 3e-4`, `1..5`, `1e-4..1e-2 log 5`, `0..0.4 linear 5`.

Experiment files and the composer read the same syntax. A range is counted without being written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from lab.config.fields import field_value
from lab.config.run_config import RunConfig
from lab.errors import ConfigError
from lab.text import shown_value

Scalar = bool | int | float | str | None

_NUMBER = r"[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\s*\.\.\s*({_NUMBER})(?:\s+(\w+)\s+(\S+))?")
_SIGNIFICANT_DIGITS = 4
_LARGEST_END = 10**15


@dataclass(frozen=True)
class Range:
    """Numbers from `first` to `last`, both among them: every whole one, or `count` of them spaced evenly.

    With `spacing` "log" each is the same multiple of the one before, rounded to four digits; whole ends make whole
    numbers. Behaves as a sequence that is never written out.
    """

    first: int | float
    last: int | float
    count: int
    spacing: str = ""

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> int | float:
        if not 0 <= place < self.count:
            raise IndexError(place)
        if not self.spacing:
            return self.first + place
        if place in (0, self.count - 1):
            return self.last if place else self.first
        share = place / (self.count - 1)
        if self.spacing == "log":
            between = float(f"{self.first * (self.last / self.first) ** share:.{_SIGNIFICANT_DIGITS}g}")
        else:
            between = float(f"{self.first + (self.last - self.first) * share:.12g}")
        return round(between) if isinstance(self.first, int) else between

    def __iter__(self) -> Iterator[int | float]:
        return (self[place] for place in range(self.count))

    def __str__(self) -> str:
        ends = f"{shown_value(self.first)}..{shown_value(self.last)}"
        return f"{ends} {self.spacing} {self.count}" if self.spacing else ends


@dataclass(frozen=True)
class Values:
    """The values of one key, in order, each once: single ones and ranges."""

    key: str
    parts: tuple[Scalar | Range, ...]

    def __len__(self) -> int:
        return sum(part.count if isinstance(part, Range) else 1 for part in self.parts)

    def __iter__(self) -> Iterator[Scalar]:
        return chain.from_iterable(part if isinstance(part, Range) else (part,) for part in self.parts)

    def __str__(self) -> str:
        """As it may be typed again."""
        return ", ".join(str(part) if isinstance(part, Range) else shown_value(part) for part in self.parts)


def values_from_text(key: str, text: str) -> Values:
    """The values that a line names. Raises `ConfigError` where one breaks the key's rule, or stands there twice."""
    words = [word.strip() for word in text.split(",")]
    if words[-1:] == [""] and len(words) > 1:
        words.pop()  # what is still being typed
    return values_of(key, words)


def values_of(key: str, items: Sequence[Any]) -> Values:
    """The values of a list, its words read as `values_from_text` reads them. Raises `ConfigError`."""
    if not items:
        raise ConfigError(f"{key} has no values; give at least one")
    parts: list[Scalar | Range] = []
    for item in items:
        found = _range_in(key, item) if isinstance(item, str) else None
        parts.append(found or field_value(key, item))
    values = Values(key, tuple(parts))
    _check_each_once(values)
    return values


def _range_in(key: str, text: str) -> Range | None:
    """The range that a word means, its ends of the key's own type; None where it is none."""
    found = _RANGE.fullmatch(text.strip())
    if found is None or RunConfig.model_fields[key].annotation is str:
        return None
    first, last = field_value(key, found[1].replace("_", "")), field_value(key, found[2].replace("_", ""))
    if isinstance(first, bool) or not isinstance(first, int | float) or not first < last <= _LARGEST_END:
        raise ConfigError(f"{key}={text}: a range goes from the smaller number to the larger")
    spacing, count = found[3], found[4]
    if spacing is None:
        if first != int(first) or last != int(last):
            raise ConfigError(f"{key}={text}: say how many, for example {text} linear 5 (or log 5)")
        return Range(first, last, int(last - first) + 1)
    if spacing not in ("log", "linear") or not count.isdecimal() or not 2 <= int(count) <= _LARGEST_END:
        raise ConfigError(f"{key}={text}: write FROM..TO log N, or FROM..TO linear N, with N of 2 or more")
    if spacing == "log" and first <= 0:
        raise ConfigError(f"{key}={text}: a log range starts above 0")
    if isinstance(first, int) and int(count) > last - first + 1:
        raise ConfigError(f"{key}={text}: there are only {last - first + 1:,} whole numbers between them")
    return Range(first, last, int(count), spacing)


_COUNTED_ONE_BY_ONE = 100_000


def _check_each_once(values: Values) -> None:
    if len(values) > _COUNTED_ONE_BY_ONE:
        return  # refused for its size anyway, unless a person insists
    seen = set()
    for value in values:
        if value in seen:
            raise ConfigError(f"{values.key}: {shown_value(value)} stands there twice; give each value once")
        seen.add(value)
