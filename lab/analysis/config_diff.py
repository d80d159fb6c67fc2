"""What differs between configs, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MISSING = object()
"""Stands where a config has no such setting."""


@dataclass(frozen=True)
class Difference:
    """A setting and its value in each of the configs; `MISSING` where one has none."""

    key: str
    values: tuple[Any, ...]


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings whose values are not the same in all configs, in the order in which they first stand."""
    return [each.key for each in config_diff(configs)]


def config_diff(configs: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """The settings that are not the same in all configs, each with its values."""
    keys = dict.fromkeys(key for config in configs for key in config)
    rows = [Difference(key, tuple(config.get(key, MISSING) for config in configs)) for key in keys]
    return [row for row in rows if any(not _same(value, row.values[0]) for value in row.values[1:])]


def _same(one: Any, other: Any) -> bool:
    """True and 1 are two settings."""
    return one is other or (type(one) is type(other) and bool(one == other)) or _equal_numbers(one, other)


def _equal_numbers(one: Any, other: Any) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return numbers and bool(one == other)
