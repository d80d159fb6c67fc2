"""The runs of an experiment: its combinations, less those that conditions exclude, each with every seed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lab.config.condition import VARIANT, parse_condition
from lab.config.experiment import Experiment, KeyedError, MeasureSpeed, Variant
from lab.config.named_model import NamedModel, named_model
from lab.config.own_model import OwnSource
from lab.config.run_config import DatasetKind, RunConfig
from lab.errors import ConfigError
from lab.text import plural, shown_value

FindDataset = Callable[[str, DatasetKind | None], tuple[str, DatasetKind]]
"""From a dataset's name or path, and how it is to be cut if that was said, to its name and how it is cut."""
FindModel = Callable[[str], NamedModel]
"""From a stage, or FILE.py:CLASS, to the model."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of an experiment."""

    name: str
    config: RunConfig
    source: OwnSource | None = None
    """The file of a model of one's own."""

    @property
    def seed(self) -> int:
        """Of its weights, batches and dropout."""
        return self.config.seed


@dataclass(frozen=True)
class _Combination:
    """One combination of a grid: the model, what it trains on, and what is set."""

    name: str
    model: NamedModel
    dataset: str
    dataset_as: DatasetKind
    settings: Mapping[str, Any]

    def unchecked_values(self) -> dict[str, Any]:
        """Every field of its config, whether or not they agree."""
        defaults = {name: info.default for name, info in RunConfig.model_fields.items()}
        own = self.model.values(dataset=self.dataset, dataset_as=self.dataset_as)
        return defaults | own | dict(self.settings)

    def config(self) -> RunConfig:
        """Its config. Raises `ConfigError` with the combination's name."""
        try:
            return self.model.config(dataset=self.dataset, dataset_as=self.dataset_as, settings=self.settings)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: {error} (a condition under exclude leaves it out)") from None


def expand(
    experiment: Experiment,
    find_dataset: FindDataset,
    *,
    find_model: FindModel = named_model,
    measure: MeasureSpeed | None = None,
    confirmed: bool = False,
) -> list[PlannedRun]:
    """The runs of an experiment: every combination for the first seed, then for the next, so an answer comes early.

    Raises `GridTooLargeError` before anything is made of a grid that is too large, `ConfigError` where a combination
    breaks a rule, equals another, or where the conditions leave nothing, and `UsageError` where a model's file is gone.
    """
    experiment.check_size(confirmed=confirmed)
    planned: list[PlannedRun] = []
    for combination in _left(experiment, find_dataset, cache(find_model)):
        config, source = combination.config(), combination.model.source
        if experiment.budget is not None:
            config = config.replace(steps=experiment.budget.steps(config, measure, source))
        planned.append(PlannedRun(combination.name, config, source))
    if not planned:
        excluded = " and ".join(f"`{text}`" for text in experiment.exclude)
        raise KeyedError(("exclude",), f"{excluded} leaves none of {plural(experiment.combinations, 'combination')}")
    _check_all_differ(planned)
    return _with_each_seed(planned, list(experiment.seeds) if experiment.seeds is not None else [])


def _left(experiment: Experiment, find_dataset: FindDataset, find_model: FindModel) -> Iterator[_Combination]:
    """Each combination that no condition excludes, one at a time."""
    conditions = [parse_condition(text) for text in experiment.exclude]
    for variant, chosen in _chosen(experiment):
        settings = {**experiment.base, **variant.settings, **chosen}
        name = _name(variant, chosen, str(settings["stage"]), experiment, find_model)
        model = find_model(str(settings.pop("stage")))
        named = str(settings.pop("dataset", model.home_dataset))
        dataset, kind = find_dataset(named, settings.pop("dataset_as", None))
        combination = _Combination(name, model, dataset, kind, settings)
        facts = combination.unchecked_values() | {VARIANT: variant.name} if conditions else {}
        if not any(condition.holds(facts) for condition in conditions):
            yield combination


def _chosen(experiment: Experiment) -> Iterator[tuple[Variant, dict[str, Any]]]:
    for variant in experiment.variants or (Variant("", {}),):
        for values in itertools.product(*experiment.grid.values()):
            yield variant, dict(zip(experiment.grid, values, strict=True))


def _name(
    variant: Variant, chosen: Mapping[str, Any], stage: str, experiment: Experiment, find_model: FindModel
) -> str:
    """Its variant or stage, and what the grid sets."""

    def label(word: str) -> str:
        """The stage; of two classes of one name, the file too."""
        model = find_model(word)
        alike = Counter(find_model(str(each)).stage for each in experiment.grid.get("stage", ()))
        return model.stage if model.source is None or alike[model.stage] < 2 else Path(word).name

    words = [variant.name] if variant.name else [] if "stage" in chosen else [label(stage)]
    words += [label(str(value)) if key == "stage" else f"{key}={shown_value(value)}" for key, value in chosen.items()]
    return "/".join(words)


def _check_all_differ(planned: Sequence[PlannedRun]) -> None:
    names: dict[str, str] = {}
    for run in planned:
        values = repr(sorted(run.config.resolved().items()))
        if values in names:
            raise ConfigError(f"{run.name} has the same config as {names[values]}; leave one of them out")
        names[values] = run.name


def _with_each_seed(planned: list[PlannedRun], seeds: Sequence[Any]) -> list[PlannedRun]:
    if not seeds:
        return planned
    suffix = len(seeds) > 1
    return [
        PlannedRun(
            f"{run.name}/seed={seed}" if suffix else run.name, run.config.model_copy(update={"seed": seed}), run.source
        )
        for seed in seeds
        for run in planned
    ]
