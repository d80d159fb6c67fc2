"""An experiment: a question, and the grid of configs that answers it, as a TOML file.

title = "What residuals buy, by depth"
question = "Does a skip connection matter more in a deeper model?"
seeds = "1337..1339"
exclude = ["residual = on and layers < 2"]

[base]                          # a stage, or FILE.py:CLASS, and what differs from it in every run
stage = "layernorm"

[grid]                          # every combination of these
layers = [2, 4, 8]
lr = "1e-4..1e-2 log 5"

[[variants]]                    # settings that go together; each combination is run with each
name = "no skip"
residual = false

[budget]                        # one of steps, characters, seconds: for each run
characters = 1_000_000
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lab.config.condition import parse_condition
from lab.config.fields import field_value
from lab.config.named_model import named_model
from lab.config.own_model import OwnSource, from_folder
from lab.config.run_config import RunConfig, check_keys
from lab.config.value_list import Range, Scalar, Values, values_from_text, values_of
from lab.errors import ConfigError, GridTooLargeError, UsageError

MOST_RUNS = 1000
"""Combinations above which a person is asked whether they mean it."""
MOST_RUNS_EVER = 1_000_000
LARGEST_TITLE = 100

BudgetUnit = Literal["steps", "characters", "seconds"]
MeasureSpeed = Callable[[RunConfig, OwnSource | None], float]
"""Characters that a config, of a model of one's own where its file is given, trains in a second on this machine."""


class KeyedError(ConfigError):
    """An error in an experiment, with the keys that lead to what is wrong."""

    def __init__(self, keys: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.keys = keys


@dataclass(frozen=True)
class Variant:
    """Settings that go together, under a name."""

    name: str
    settings: Mapping[str, Scalar]


@dataclass(frozen=True)
class Budget:
    """What each run may use. Seconds become steps by the speed that is measured when the runs are queued."""

    amount: float
    unit: BudgetUnit

    def steps(self, config: RunConfig, measure: MeasureSpeed | None, source: OwnSource | None = None) -> int:
        """Steps of one run. Raises `ConfigError` where a speed is needed and nobody measures it."""
        if self.unit == "steps":
            return round(self.amount)
        characters = self.amount
        if self.unit == "seconds":
            if measure is None:
                raise ConfigError("a budget of seconds needs the speed of this machine, which is not measured here")
            characters = self.amount * measure(config, source)
        steps = characters / (config.batch_size * (config.context_length if config.predicts_every_position else 1))
        if self.unit == "seconds":  # two digits: measured again, the same machine mostly comes to the same runs
            steps = float(f"{steps:.2g}")
        return max(1, round(steps))


@dataclass(frozen=True)
class Experiment:
    """A question with a grid of configs."""

    title: str
    question: str = ""
    base: Mapping[str, Scalar] = field(default_factory=dict)
    grid: Mapping[str, Values] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    exclude: tuple[str, ...] = ()
    seeds: Values | None = None
    budget: Budget | None = None

    @property
    def combinations(self) -> int:
        """How many runs there are before conditions exclude any; nothing is written out to know it."""
        return math.prod(map(len, self.grid.values())) * max(1, len(self.variants)) * len(self.seeds or "1")

    def check_size(self, *, confirmed: bool = False) -> None:
        """Raises `GridTooLargeError` where there are more combinations than a person can have meant."""
        count = self.combinations
        if count > MOST_RUNS_EVER or (count > MOST_RUNS and not confirmed):
            raise GridTooLargeError(count, MOST_RUNS, final=count > MOST_RUNS_EVER, conditions=bool(self.exclude))

    def to_mapping(self) -> dict[str, Any]:
        """As its TOML file has it; what `experiment_of` reads back."""
        document: dict[str, Any] = {"title": self.title}
        if self.question:
            document["question"] = self.question
        if self.seeds is not None:
            document["seeds"] = _written(self.seeds)
        if self.exclude:
            document["exclude"] = list(self.exclude)
        document["base"] = {key: _plain(value) for key, value in self.base.items()}
        if self.grid:
            document["grid"] = {key: _written(values) for key, values in self.grid.items()}
        if self.variants:
            document["variants"] = [
                {"name": each.name} | {key: _plain(value) for key, value in each.settings.items()}
                for each in self.variants
            ]
        if self.budget is not None:
            amount = self.budget.amount
            document["budget"] = {self.budget.unit: int(amount) if amount == int(amount) else amount}
        return document


# Reading


def experiment_of(document: Mapping[str, Any], folder: Path) -> Experiment:
    """The experiment that a TOML document describes; the files of models that it names are found from `folder`.

    Raises `KeyedError` with the key that is wrong, and why.
    """
    _check_known((), document, ("title", "question", "seeds", "exclude", "base", "grid", "variants", "budget"))
    grid = {key: _values(("grid", key), key, given, folder) for key, given in _table(document, "grid").items()}
    experiment = Experiment(
        title=_line(document, "title", "an experiment needs a title"),
        question=_line(document, "question"),
        base=_settings(("base",), _table(document, "base"), folder),
        grid=grid,
        variants=_variants(document, folder),
        exclude=tuple(_exclude(document)),
        seeds=_values(("seeds",), "seed", document["seeds"], folder) if "seeds" in document else None,
        budget=_budget(document),
    )
    _check_keys_meet_once(experiment)
    return experiment


def _check_known(keys: tuple[str | int, ...], table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"one of: {', '.join(known)}"
            raise KeyedError((*keys, key), f"unknown key '{key}': {hint}")


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, Mapping):
        raise KeyedError((name,), f"{name} must be a table: [{name}], and under it a line for each key")
    for key in table:
        if name != "budget":
            _check_key((name, key), key)
    return table


def _check_key(keys: tuple[str | int, ...], key: str) -> None:
    """Raises `KeyedError` where a key is no field of a config, or has another place in the file."""
    try:
        check_keys({key: None})
    except ConfigError as error:
        raise KeyedError(keys, str(error)) from None
    if key == "seed":
        raise KeyedError(keys, 'seed has its own place: seeds = [1, 2, 3], or seeds = "1..3", above the tables')
    if key == "model":
        raise KeyedError(keys, "model is decided by the stage: set stage instead")


def _line(document: Mapping[str, Any], key: str, missing: str = "") -> str:
    text = document.get(key, "")
    if not isinstance(text, str):
        raise KeyedError((key,), f"{key} must be a text in quotes")
    if missing and not text.strip():
        raise KeyedError((key,), f'{missing}: {key} = "…"')
    if key == "title" and (len(text) > LARGEST_TITLE or not text.isprintable()):
        raise KeyedError((key,), f"title must be one line of at most {LARGEST_TITLE} characters")
    return text.strip()


def _values(keys: tuple[str | int, ...], key: str, given: Any, folder: Path) -> Values:
    try:
        if isinstance(given, str):
            values = values_from_text(key, given)
        else:
            values = values_of(key, given if isinstance(given, list) else [given])
        return Values(key, tuple(_stage(str(each), folder) for each in values)) if key == "stage" else values
    except UsageError as error:
        raise KeyedError(keys, str(error)) from None


def _stage(word: str, folder: Path) -> str:
    """The word for a model, wherever it is read from. Raises `ConfigError` or `UsageError` where there is none."""
    found = from_folder(word, folder)
    named_model(found)
    return found


def _settings(keys: tuple[str | int, ...], table: Mapping[str, Any], folder: Path) -> dict[str, Scalar]:
    settings = {}
    for key, value in table.items():
        _check_key((*keys, key), key)
        try:
            settings[key] = field_value(key, value)
            if key == "stage":
                settings[key] = _stage(str(value), folder)
        except UsageError as error:
            raise KeyedError((*keys, key), str(error)) from None
    return settings


def _variants(document: Mapping[str, Any], folder: Path) -> tuple[Variant, ...]:
    given = document.get("variants", [])
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        raise KeyedError(("variants",), "each variant is a table: [[variants]], with a name and settings")
    variants: list[Variant] = []
    for place, each in enumerate(given):
        name = each.get("name")
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LARGEST_TITLE:
            raise KeyedError(("variants", place, "name"), 'a variant needs a name of one line: name = "…"')
        if any(name.strip() == known.name for known in variants):
            raise KeyedError(("variants", place, "name"), f"two variants are named '{name.strip()}'")
        settings = _settings(("variants", place), {key: value for key, value in each.items() if key != "name"}, folder)
        variants.append(Variant(name.strip(), settings))
    return tuple(variants)


def _exclude(document: Mapping[str, Any]) -> Iterator[str]:
    given = document.get("exclude", [])
    conditions = [given] if isinstance(given, str) else given
    if not isinstance(conditions, list) or not all(isinstance(each, str) for each in conditions):
        raise KeyedError(("exclude",), 'exclude must be a list of conditions: exclude = ["layers > 4"]')
    for condition in conditions:
        try:
            yield parse_condition(condition).text
        except ConfigError as error:
            raise KeyedError(("exclude",), str(error)) from None


def _budget(document: Mapping[str, Any]) -> Budget | None:
    table = _table(document, "budget")
    units: tuple[BudgetUnit, ...] = ("steps", "characters", "seconds")
    _check_known(("budget",), table, units)
    if not table:
        return None
    if len(table) > 1:
        raise KeyedError(("budget", list(table)[1]), f"a budget is one of {', '.join(units)}, not several")
    ((unit, amount),) = table.items()
    whole = unit == "steps" and not isinstance(amount, int)
    if isinstance(amount, bool) or not isinstance(amount, int | float) or whole or not 0 < amount <= 1e15:
        raise KeyedError(("budget", unit), f"{unit} must be a {'whole ' if unit == 'steps' else ''}number above 0")
    return Budget(amount, next(each for each in units if each == unit))


def _check_keys_meet_once(experiment: Experiment) -> None:
    """Raises `KeyedError` where two parts of an experiment set the same key, or none sets the stage."""
    for place, variant in enumerate(experiment.variants):
        for key in variant.settings:
            if key in experiment.grid:
                raise KeyedError(("variants", place, key), f"{key} is set by the grid too; leave one of them out")
    for key in experiment.grid:
        if key in experiment.base:
            raise KeyedError(("base", key), f"{key} is set by the grid too; leave one of them out")
    named = "stage" in experiment.base or "stage" in experiment.grid
    if not named and not (experiment.variants and all("stage" in each.settings for each in experiment.variants)):
        raise KeyedError(("base", "stage"), 'no stage is named; write stage = "…" under [base]')
    sets_steps = [("base",), ("grid",)] + [("variants", place) for place in range(len(experiment.variants))]
    tables = [experiment.base, experiment.grid, *(each.settings for each in experiment.variants)]
    for keys, table in zip(sets_steps, tables, strict=True):
        if experiment.budget is not None and "steps" in table:
            raise KeyedError((*keys, "steps"), f"steps is decided by the budget of {experiment.budget.unit} too")


# Writing


def _written(values: Values) -> Any:
    """A list, or a line where there are ranges."""
    if any(isinstance(part, Range) for part in values.parts):
        return str(values)
    return [_plain(part) for part in values.parts]


def _plain(value: Any) -> Any:
    """As TOML has it, which knows no null."""
    return "none" if value is None else value
