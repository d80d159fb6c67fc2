"""What the word being typed into a filter may become: a field, or one of a field's values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lab.analysis.run_filter import CLOSED, Filterable, config_choices, filter_fields, is_text

_COMMON = ("stage", "status", "val", "tag", "lr", "name", "dataset", "experiment", "steps", "kind")
"""Fields that are offered before anything is typed."""
_WITH_VALUES = ("stage", "dataset", "tag", "experiment", "name")
_TYPED = re.compile(r"""(?P<negation>-?)(?P<field>[A-Za-z_]*)(?:(?P<operator><=|>=|!=|<|>|=|:)(?P<value>.*))?""")


@dataclass(frozen=True)
class Completions:
    """What the characters from `start` to the cursor may be replaced by, likeliest first."""

    start: int = 0
    options: tuple[str, ...] = ()


def values_of(runs: Iterable[Filterable]) -> dict[str, tuple[str, ...]]:
    """The values of each field that some run has, in alphabetical order."""
    found: dict[str, set[str]] = {field: set() for field in _WITH_VALUES}
    for run in runs:
        found["stage"].add(run.stage)
        found["dataset"].add(run.dataset)
        found["tag"].update(run.tags)
        found["name"].add(run.name)
        found["experiment"].add(run.experiment or "")
    return {field: tuple(sorted(values - {""})) for field, values in found.items()}


def complete(text: str, cursor: int, values: Callable[[], Mapping[str, Iterable[str]]]) -> Completions:
    """What the word that ends at the cursor may become; `values` gives those of `values_of`, once one is asked for."""
    typed = text[:cursor]
    start = max(typed.rfind(" "), -1) + 1
    found = _TYPED.fullmatch(typed[start:])
    if not found or typed.count('"') % 2:
        return Completions(cursor)
    start += len(found["negation"])
    if found["operator"] is None:
        return Completions(start, tuple(f"{field}{_operator(field)}" for field in _fields(found["field"])))
    field, value = found["field"].lower(), found["value"].casefold()
    start += len(found["field"]) + len(found["operator"])
    known = CLOSED.get(field) or config_choices(field) or tuple(values().get(field, ()))
    fitting = [each for each in known if each.casefold().startswith(value)]
    fitting += [each for each in known if value in each.casefold() and each not in fitting]
    quoted = [f'"{each}"' if " " in each else each for each in fitting if each.casefold() != value]
    return Completions(start, tuple(quoted))


def _fields(typed: str) -> list[str]:
    if not typed:
        return list(_COMMON)
    every = [*_COMMON, *(field for field in filter_fields() if field not in _COMMON)]
    fitting = [field for field in every if field.startswith(typed.lower())]
    return fitting + [field for field in every if typed.lower() in field and field not in fitting]


def _operator(field: str) -> str:
    return ":" if is_text(field) else "=" if config_choices(field) else "<"
