"""A model by the word that people name it with: a rung of the ladder, or FILE.py:CLASS, a class of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.config.field_rules import INIT_OF_LAYERS
from lab.config.ladder import find_stage, stage_config, stage_values
from lab.config.own_config import own_config, own_values
from lab.config.own_model import OwnSource, constructor_of, names_own_model, read_own_model
from lab.config.run_config import DatasetKind, RunConfig, models_that_read

HOME_OF_OWN = "shakespeare"
"""The dataset of a model of one's own, which has no home on the ladder."""


@dataclass(frozen=True)
class NamedModel:
    """What a word stands for; configs are made of either kind alike."""

    stage: str
    """The rung, or the class."""
    source: OwnSource | None = None
    """The file of a model of one's own."""

    @property
    def home_dataset(self) -> str:
        """The dataset that it trains on unless another is named."""
        return find_stage(self.stage).home_dataset if self.source is None else HOME_OF_OWN

    def values(self, *, dataset: str, dataset_as: DatasetKind) -> dict[str, Any]:
        """What it sets on a dataset, not yet checked. Raises `ConfigError` or `UsageError`."""
        if self.source is None:
            return stage_values(self.stage, dataset=dataset, dataset_as=dataset_as)
        return own_values(self.source, dataset=dataset, dataset_as=dataset_as)

    def config(self, *, dataset: str, dataset_as: DatasetKind, settings: Mapping[str, Any]) -> RunConfig:
        """Its config on a dataset, with some fields set otherwise. Raises `ConfigError` or `UsageError`."""
        if self.source is None:
            return stage_config(self.stage, dataset=dataset, dataset_as=dataset_as, settings=settings)
        return own_config(self.source, dataset=dataset, dataset_as=dataset_as, settings=settings)

    def reads(self, key: str) -> bool:
        """Whether a field of the config means something for it."""
        if self.source is not None:
            return key not in (*INIT_OF_LAYERS, "source_sha256") and constructor_of(self.source).reads(key)
        return stage_values(self.stage)["model"] in models_that_read(RunConfig.model_fields[key])


def named_model(word: str) -> NamedModel:
    """The model that a word names; a file is read, not run. Raises `ConfigError` or `UsageError`."""
    if not names_own_model(word):
        return NamedModel(find_stage(word).name)
    source = read_own_model(word)
    constructor_of(source)
    return NamedModel(source.class_name, source)
