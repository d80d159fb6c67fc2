"""An experiment: a question, and the grid of configs that answers it, as a TOML file.

title = "What residuals buy, by depth"
question = "Does a skip connection matter more in a deeper model?"
seeds = "1337..1339"
exclude = ["residual = on and layers < 2"]

[base]                          # a stage, and what differs from it in every run
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
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lab.config.condition import VARIANT, Condition, parse_condition
from lab.config.fields import field_value
from lab.config.ladder import find_stage, stage_config, stage_values
from lab.config.run_config import DatasetKind, RunConfig, check_keys
from lab.config.value_list import Range, Scalar, Values, values_from_text, values_of
from lab.errors import ConfigError, GridTooLargeError
from lab.text import plural, shown_value

MOST_RUNS = 1000
"""Combinations above which a person is asked whether they mean it."""
MOST_RUNS_EVER = 1_000_000
LARGEST_TITLE = 100

BudgetUnit = Literal["steps", "characters", "seconds"]
FindDataset = Callable[[str, DatasetKind | None], tuple[str, DatasetKind]]
"""From a dataset's name or path, and how it is to be cut if that was said, to its name and how it is cut."""
MeasureSpeed = Callable[[RunConfig], float]
"""Characters that a config trains in a second on this machine."""


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

    def steps(self, config: RunConfig, measure: MeasureSpeed | None) -> int:
        """Steps of one run. Raises `ConfigError` where a speed is needed and nobody measures it."""
        if self.unit == "steps":
            return round(self.amount)
        characters = self.amount
        if self.unit == "seconds":
            if measure is None:
                raise ConfigError("a budget of seconds needs the speed of this machine, which is not measured here")
            characters = self.amount * measure(config)
        steps = characters / (config.batch_size * (config.context_length if config.predicts_every_position else 1))
        if self.unit == "seconds":  # two digits: measured again, the same machine mostly comes to the same runs
            steps = float(f"{steps:.2g}")
        return max(1, round(steps))


@dataclass(frozen=True)
class PlannedRun:
    """One run of an experiment."""

    name: str
    config: RunConfig

    @property
    def seed(self) -> int:
        """Of its weights, batches and dropout."""
        return self.config.seed


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


def experiment_of(document: Mapping[str, Any]) -> Experiment:
    """The experiment that a TOML document describes. Raises `KeyedError` with the key that is wrong, and why."""
    _check_known((), document, ("title", "question", "seeds", "exclude", "base", "grid", "variants", "budget"))
    grid = {key: _values(("grid", key), key, given) for key, given in _table(document, "grid").items()}
    experiment = Experiment(
        title=_line(document, "title", "an experiment needs a title"),
        question=_line(document, "question"),
        base=_settings(("base",), _table(document, "base")),
        grid=grid,
        variants=_variants(document),
        exclude=tuple(_exclude(document)),
        seeds=_values(("seeds",), "seed", document["seeds"]) if "seeds" in document else None,
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


def _values(keys: tuple[str | int, ...], key: str, given: Any) -> Values:
    try:
        if isinstance(given, str):
            return values_from_text(key, given)
        return values_of(key, given if isinstance(given, list) else [given])
    except ConfigError as error:
        raise KeyedError(keys, str(error)) from None


def _settings(keys: tuple[str | int, ...], table: Mapping[str, Any]) -> dict[str, Scalar]:
    settings = {}
    for key, value in table.items():
        _check_key((*keys, key), key)
        try:
            settings[key] = field_value(key, value)
            if key == "stage":
                find_stage(str(value))
        except ConfigError as error:
            raise KeyedError((*keys, key), str(error)) from None
    return settings


def _variants(document: Mapping[str, Any]) -> tuple[Variant, ...]:
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
        settings = _settings(("variants", place), {key: value for key, value in each.items() if key != "name"})
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


# Expanding


def expand(
    experiment: Experiment,
    find_dataset: FindDataset,
    *,
    measure: MeasureSpeed | None = None,
    confirmed: bool = False,
) -> list[PlannedRun]:
    """The runs of an experiment: every combination for the first seed, then for the next, so an answer comes early.

    Raises `GridTooLargeError` before anything is made of a grid that is too large, and `ConfigError` where a
    combination breaks a rule, equals another, or where the conditions leave nothing.
    """
    experiment.check_size(confirmed=confirmed)
    conditions = [parse_condition(text) for text in experiment.exclude]
    seeds: list[Any] = list(experiment.seeds) if experiment.seeds is not None else []
    planned: list[PlannedRun] = []
    for name, settings in _combinations(experiment, conditions, find_dataset):
        config = _config_of(name, settings, find_dataset)
        if experiment.budget is not None:
            config = config.replace(steps=experiment.budget.steps(config, measure))
        planned.append(PlannedRun(name, config))
    if not planned:
        excluded = " and ".join(f"`{text}`" for text in experiment.exclude)
        raise KeyedError(("exclude",), f"{excluded} leaves none of {plural(experiment.combinations, 'combination')}")
    _check_all_differ(planned)
    if not seeds:
        return planned
    suffix = len(seeds) > 1
    return [
        PlannedRun(f"{run.name}/seed={seed}" if suffix else run.name, run.config.model_copy(update={"seed": seed}))
        for seed in seeds
        for run in planned
    ]


def _combinations(
    experiment: Experiment, conditions: Sequence[Condition], find_dataset: FindDataset
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and settings of each combination that no condition excludes, one at a time."""
    for variant in experiment.variants or (Variant("", {}),):
        for values in itertools.product(*experiment.grid.values()):
            chosen = dict(zip(experiment.grid, values, strict=True))
            settings = {**experiment.base, **variant.settings, **chosen}
            if conditions:
                facts = _unchecked_values(settings, find_dataset) | {VARIANT: variant.name}
                if any(condition.holds(facts) for condition in conditions):
                    continue
            words = [variant.name] if variant.name else [] if "stage" in chosen else [str(settings["stage"])]
            words += [str(value) if key == "stage" else f"{key}={shown_value(value)}" for key, value in chosen.items()]
            yield "/".join(words), settings


def _unchecked_values(settings: Mapping[str, Any], find_dataset: FindDataset) -> dict[str, Any]:
    """Every field of a combination's config, whether or not they agree."""
    stage, dataset, kind, rest = _placed(settings, find_dataset)
    defaults = {name: info.default for name, info in RunConfig.model_fields.items()}
    return defaults | stage_values(stage, dataset=dataset, dataset_as=kind) | rest


def _config_of(name: str, settings: Mapping[str, Any], find_dataset: FindDataset) -> RunConfig:
    stage, dataset, kind, rest = _placed(settings, find_dataset)
    try:
        return stage_config(stage, dataset=dataset, dataset_as=kind, settings=rest)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error} (a condition under exclude leaves it out)") from None


def _placed(settings: Mapping[str, Any], find_dataset: FindDataset) -> tuple[str, str, DatasetKind, dict[str, Any]]:
    """Stage, dataset and how it is cut, and the rest of a combination's settings."""
    rest = dict(settings)
    stage = find_stage(str(rest.pop("stage")))
    dataset, kind = find_dataset(str(rest.pop("dataset", stage.home_dataset)), rest.pop("dataset_as", None))
    return stage.name, dataset, kind, rest


def _check_all_differ(planned: Sequence[PlannedRun]) -> None:
    names: dict[str, str] = {}
    for run in planned:
        values = repr(sorted(run.config.resolved().items()))
        if values in names:
            raise ConfigError(f"{run.name} has the same config as {names[values]}; leave one of them out")
        names[values] = run.name


# Writing


def _written(values: Values) -> Any:
    """A list, or a line where there are ranges."""
    if any(isinstance(part, Range) for part in values.parts):
        return str(values)
    return [_plain(part) for part in values.parts]


def _plain(value: Any) -> Any:
    """As TOML has it, which knows no null."""
    return "none" if value is None else value
